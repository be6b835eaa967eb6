/**
 * The journey of a request: THE table of steps. Each row does one thing and names the step that follows; `SUSPENDED`
 * waits for a hook, a file or a socket, which resume the loop in `journey.ts`.
 *
 *   server rewrite -> locate -> rewrite -> limit -> access -> try files -> content -+-> header filter -> relay -> log
 *         ^              ^         |                                                 |        ^             |
 *         |              +- URI -- +                                                 v        |             v
 *      internal redirect   changed                             request body -> balance -> connect -> send -> response head
 *      (REDIRECT, ERROR)                                                          ^                             |
 *                                                                                 +------ next upstream -------+
 *
 * Three edges go backwards, each bounded: a URI change (10), an internal redirect (10), the next upstream (its peers).
 */
import type { Exchange } from './exchange.ts'
import {
  access,
  content,
  limit,
  locate,
  redirect,
  requestBody,
  rewrite,
  serverRewrite,
  tryFilesStep,
} from './request-steps.ts'
import { error, headerFilter, log, relay } from './response-steps.ts'
import type { Step } from './step.ts'
import { balance, connect, responseHead, send } from './upstream-steps.ts'

export interface StepRow {
  readonly name: string
  readonly run: (x: Exchange) => Step
}

/** Indexed by `Step`. */
export const STEPS: readonly StepRow[] = [
  { name: 'server rewrite', run: serverRewrite },
  { name: 'locate', run: locate },
  { name: 'rewrite', run: rewrite },
  { name: 'limit', run: limit },
  { name: 'access', run: access },
  { name: 'try files', run: tryFilesStep },
  { name: 'content', run: content },
  { name: 'request body', run: requestBody },
  { name: 'balance', run: balance },
  { name: 'connect', run: connect },
  { name: 'send', run: send },
  { name: 'response head', run: responseHead },
  { name: 'header filter', run: headerFilter },
  { name: 'relay', run: relay },
  { name: 'error', run: error },
  { name: 'redirect', run: redirect },
  { name: 'log', run: log },
]
