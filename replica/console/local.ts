// Names and addresses that can only mean the machine itself.

/** Whether `host`, with or without a port, can only mean the machine that asks. */
export const isLocalHost = (host: string): boolean =>
  /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i.test(host);
