// Who may do what: every handler asks here first. Without an authorization file everybody who
// reaches the port may do everything.

import type { CallContext } from '../../io/network.ts';
import type { Role } from '../../transport/authorize.ts';

/** Throws UNAUTHENTICATED or PERMISSION_DENIED; `journal` null means the cluster. */
export type Access = (context: CallContext, role: Role, journal: string | null) => void;

export const openAccess: Access = () => undefined;
