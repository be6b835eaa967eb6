/**
 * Rows that are accepted and do nothing: they tune nginx's own memory, files and system calls, which have no
 * counterpart here. Place, number and form of their arguments are checked all the same.
 */
import {
  type Arity,
  type Directive,
  HTTP,
  HTTP_IF,
  HTTP_LOCATION,
  HTTP_SERVER,
  parseFlag,
  readCount,
  readOffset,
  readTime,
} from './directive.ts'
import type { Word } from './lexer.ts'
import type { Call, Context } from './scope.ts'

const MAIN: readonly Context[] = ['main']
const EVENTS: readonly Context[] = ['events']

type Check = (call: Call, word: Word) => unknown

/** One argument of a known form, once. */
function inert(check: Check, contexts: readonly Context[], names: string): Directive[] {
  const parse = (call: Call) => void check(call, call.args[0]!)
  return names.split(' ').map((name) => ({ name, in: contexts, args: '1', once: true, parse }))
}

/** Any arguments. */
function free(args: Arity, contexts: readonly Context[], names: string): Directive[] {
  return names.split(' ').map((name) => ({ name, in: contexts, args, parse: () => {} }))
}

/** Directives that somebody may rely on: they are named in one notice. */
function missed(args: Arity, contexts: readonly Context[], names: string): Directive[] {
  const parse = ({ run, name, where }: Call) => void run.withoutEffect.push({ text: name, where })
  return names.split(' ').map((name) => ({ name, in: contexts, args, parse }))
}

export const INERT_DIRECTIVES: readonly Directive[] = [
  ...missed('1', MAIN, 'worker_rlimit_nofile worker_rlimit_core working_directory load_module'),
  ...missed('1-2', MAIN, 'user'),

  ...inert(readTime, MAIN, 'timer_resolution'),
  ...inert(parseFlag, MAIN, 'pcre_jit quic_bpf ssl_object_cache_inheritable'),
  ...free('1', MAIN, 'lock_file debug_points worker_priority ssl_engine'),
  ...free('1+', MAIN, 'worker_cpu_affinity'),
  ...free('2-3', MAIN, 'thread_pool'),

  ...inert(parseFlag, EVENTS, 'multi_accept accept_mutex'),
  ...inert(readTime, EVENTS, 'accept_mutex_delay'),
  ...inert(
    readCount,
    EVENTS,
    'epoll_events worker_aio_requests kqueue_changes kqueue_events devpoll_changes devpoll_events',
  ),
  ...free('1', EVENTS, 'use debug_connection'),

  ...inert(
    readCount,
    HTTP,
    'variables_hash_max_size variables_hash_bucket_size server_names_hash_max_size server_names_hash_bucket_size map_hash_max_size map_hash_bucket_size',
  ),
  ...inert(readCount, HTTP_LOCATION, 'types_hash_max_size types_hash_bucket_size'),
  ...inert(readCount, HTTP_LOCATION, 'proxy_headers_hash_max_size proxy_headers_hash_bucket_size'),
  ...inert(readCount, HTTP_LOCATION, 'open_file_cache_min_uses'),
  ...inert(readOffset, HTTP_SERVER, 'connection_pool_size request_pool_size'),
  ...inert(
    readOffset,
    HTTP_LOCATION,
    'sendfile_max_chunk read_ahead directio_alignment send_lowat postpone_output proxy_send_lowat proxy_socket_rcvbuf proxy_socket_sndbuf proxy_temp_file_write_size gzip_window gzip_hash postpone_gzipping ssi_min_file_chunk',
  ),
  ...inert(parseFlag, HTTP_IF, 'sendfile'),
  ...inert(
    parseFlag,
    HTTP_LOCATION,
    'aio_write tcp_nopush msie_refresh open_file_cache_errors open_file_cache_events gzip_no_buffer ssi_ignore_recycled_buffers',
  ),
  ...inert(readTime, HTTP_LOCATION, 'open_file_cache_valid'),
  ...free('1', HTTP_LOCATION, 'aio directio'),
  ...free('1-2', HTTP_LOCATION, 'open_file_cache'),
  ...free('1-4', HTTP_LOCATION, 'proxy_temp_path fastcgi_temp_path uwsgi_temp_path scgi_temp_path'),
  ...inert(readOffset, HTTP, 'http2_recv_buffer_size'),
  ...inert(readOffset, HTTP_SERVER, 'http2_pool_size'),
  ...inert(readCount, HTTP_SERVER, 'http2_streams_index_size'),
  ...inert(readOffset, HTTP_LOCATION, 'http2_chunk_size'),
  // Obsolete in nginx too.
  ...missed(
    '1',
    HTTP_SERVER,
    'http2_idle_timeout http2_max_concurrent_pushes http2_max_field_size http2_max_header_size http2_max_requests http2_recv_timeout',
  ),
  ...free('2', HTTP_LOCATION, 'output_buffers gzip_buffers'),
]
