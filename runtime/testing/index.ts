/** What a test of a script imports: `import { testScript } from 'sluice/testing'`. */

export {
  type DecidedAnswer,
  type Decision,
  HookError,
  type OutcomeName,
  type SeenFields,
  type SeenMessage,
} from './decision.ts'
export { type DescribedPeer, type DescribedUpstream, DescriptionError } from './description.ts'
export type { Duration, FakeClock } from './fake-clock.ts'
export type {
  TestAnswer,
  TestAnswers,
  TestFetch,
  TestLimits,
  TestOptions,
  TestRequest,
  TestWebSocket,
} from './options.ts'
export { type TestedScript, testScript } from './test-script.ts'
export type { DescribedMaps } from './tested-maps.ts'
export type { TestedRequest } from './tested-request.ts'
