/** What a program that embeds Sluice imports: `import { createGateway } from 'sluice'`. */

export { ConfigError } from './config/config-error.ts'
export type * from './config/model.ts'
export { formatProblem, type ParseOptions, type Problem, parseConfig } from './config/parse.ts'
export { createGateway, Gateway, type GatewayOptions } from './gateway.ts'
export { ListenError } from './listen/listen-sockets.ts'
export { ScriptError } from './script/engine.ts'
export { type HistoryEntry, RollbackError, type ScriptStatus, type SwapReason } from './script-registry.ts'
export type { Change, PreparedSwap, SwapResult } from './swap.ts'
