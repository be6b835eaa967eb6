/** What a program that embeds Sluice imports: `import { createGateway } from 'sluice'`. */

export { ConfigError } from './config/config-error.ts'
export type * from './config/model.ts'
export { formatProblem, type ParseOptions, type Problem, parseConfig } from './config/parse.ts'
export { createGateway, Gateway, type GatewayOptions, type SwapResult } from './gateway.ts'
export { ListenError } from './listen/listen-sockets.ts'
