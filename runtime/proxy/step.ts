/** The names of the steps of a request's journey. What each does stands in `steps.ts`. */
export const Step = {
  /** Waits for a hook, a socket, a file; `resume` goes on. */
  SUSPENDED: -1,
  SERVER_REWRITE: 0,
  LOCATE: 1,
  REWRITE: 2,
  LIMIT: 3,
  ACCESS: 4,
  TRY_FILES: 5,
  CONTENT: 6,
  REQUEST_BODY: 7,
  BALANCE: 8,
  CONNECT: 9,
  SEND: 10,
  RESPONSE_HEAD: 11,
  HEADER_FILTER: 12,
  RELAY: 13,
  ERROR: 14,
  REDIRECT: 15,
  LOG: 16,
  DONE: 17,
} as const
export type Step = (typeof Step)[keyof typeof Step]
