// Who may do what: every handler of the public service asks here first. Without an authorization
// file everybody who reaches the port may do everything.

import type { CallContext } from '../../io/network.ts';

export type Role = 'read' | 'append' | 'admin';

/** Throws UNAUTHENTICATED or PERMISSION_DENIED; `journal` null means the cluster. */
export type Access = (context: CallContext, role: Role, journal: string | null) => void;

export const openAccess: Access = () => undefined;
