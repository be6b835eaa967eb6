/** The names of the steps of a request's journey. What each does stands in `steps.ts`. */
export const Step = {
  /** Waits for a hook, a socket, a file; `resume` goes on. */
  SUSPENDED: -1,
  SERVER_REWRITE: 0,
  LOCATE: 1,
  REWRITE: 2,
  ACCESS: 3,
  TRY_FILES: 4,
  CONTENT: 5,
  REQUEST_BODY: 6,
  BALANCE: 7,
  CONNECT: 8,
  SEND: 9,
  RESPONSE_HEAD: 10,
  HEADER_FILTER: 11,
  RELAY: 12,
  ERROR: 13,
  REDIRECT: 14,
  LOG: 15,
  DONE: 16,
} as const
export type Step = (typeof Step)[keyof typeof Step]
