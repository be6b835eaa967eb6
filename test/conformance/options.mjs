// The command line of the conformance runner, and the files that Sluice is meant to pass.

import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../dist/runtime/cli/main.js', import.meta.url))

/** Topics of nginx-tests that cover what Sluice has; `.t` each. */
const TOPICS =
  `access access_log headers body body_chunked http_location http_server_name http_host http_keepalive
  http_header_buffers http_uri http_try_files http_error_page http_variables map rewrite rewrite_if rewrite_set
  proxy proxy_chunked proxy_cookie proxy_redirect proxy_next_upstream proxy_next_upstream_tries
  proxy_request_buffering proxy_connection_headers proxy_websocket upstream upstream_hash upstream_ip_hash
  upstream_least_conn upstream_random upstream_keepalive upstream_max_conns limit_req limit_req2 limit_req_delay
  limit_req_dry_run limit_conn limit_conn_complex limit_conn_dry_run access_log_variables addition
  addition_buffered auth_request_set empty_gif error_log gzip h2_absolute_redirect h2_auth_request h2_error_page
  h2_max_headers h2_proxy_max_temp_file_size h2_proxy_request_buffering_redirect h2_request_body_extra h2_trailers
  http_absolute_redirect http_expect_100_continue http_headers_multi http_include http_keepalive_shutdown
  http_listen http_listen_wildcard http_location_auto http_max_headers http_method http_request_port
  http_resolver http_resolver_aaaa http_resolver_cleanup http_resolver_cname http_resolver_ipv4
  ignore_invalid_headers index map_complex map_volatile merge_slashes
  mirror mirror_proxy not_modified proxy_available proxy_bind proxy_chunked_extra proxy_duplicate_headers
  proxy_implicit proxy_intercept_errors proxy_keepalive proxy_max_temp_file_size proxy_method proxy_noclose
  proxy_non_idempotent proxy_pass_request proxy_request_buffering_chunked proxy_request_buffering_keepalive
  proxy_set_body proxy_ssi_body proxy_unix proxy_upstream_cookie proxy_variables range_if_range realip
  realip_remote_addr realip_remote_port request_id rewrite_unescape split_clients ssi_delayed ssi_if
  ssi_include_big ssi_waited sub_filter sub_filter_buffering sub_filter_merge sub_filter_multi sub_filter_multi2
  subrequest_output_buffer_size trailers upstream_ip_hash_ipv6 upstream_max_conns_sticky upstream_resolve
  upstream_resolve_reload upstream_resolver upstream_service upstream_service_reload upstream_sticky_drain
  upstream_sticky_learn upstream_sticky_learn_header upstream_sticky_next upstream_sticky_resolve
  upstream_sticky_route upstream_zone
  worker_shutdown_timeout_h2`.split(/\s+/)

const USAGE = `node test/conformance/run.mjs FOLDER [FILE...] [options]
  FOLDER            a copy of nginx-tests (the folder with the .t files and lib/)
  FILE              proxy.t or proxy; without one, the files that Sluice is meant to pass
  --all             every .t file of the folder
  --binary PATH     another program than Sluice, for instance /usr/sbin/nginx
  --jobs N          files at a time (2 when each can have a network of its own, else 1)
  --timeout SECONDS for one file (90)
  --markdown        print the table for README.md
  --json PATH       write the results as JSON
  --verbose         show the assertions that fail and what the file printed to standard error
  --keep            leave each file's temporary folder (configuration, logs) and say where`

const WITH_VALUE = new Set(['--binary', '--jobs', '--timeout', '--json'])
const WITHOUT_VALUE = new Set(['--all', '--markdown', '--verbose', '--keep'])

/** Parses the arguments; ends the process with the usage when they make no sense. */
export function readOptions(args) {
  const flags = new Map()
  const words = []
  for (let i = 0; i < args.length; i++) {
    if (WITH_VALUE.has(args[i]) && i + 1 < args.length) flags.set(args[i], args[++i])
    else if (WITHOUT_VALUE.has(args[i])) flags.set(args[i], true)
    else if (args[i].startsWith('-')) fail(`unknown or incomplete option ${args[i]}`)
    else words.push(args[i])
  }
  const folder = resolve(words.shift() ?? fail('which folder?'))
  if (!existsSync(join(folder, 'lib/Test/Nginx.pm'))) fail(`${folder} holds no lib/Test/Nginx.pm`)
  return {
    folder,
    files: chooseFiles(folder, words, flags.has('--all')),
    binary: resolve(flags.get('--binary') ?? MAIN),
    jobs: flags.has('--jobs') ? positive(flags.get('--jobs')) : null,
    timeout: positive(flags.get('--timeout') ?? '90') * 1000,
    markdown: flags.has('--markdown'),
    json: flags.get('--json') ?? null,
    verbose: flags.has('--verbose'),
    keep: flags.has('--keep'),
  }
}

function chooseFiles(folder, words, all) {
  if (all) {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.t'))
      .sort()
  }
  const files = (words.length > 0 ? words : TOPICS).map((word) => (word.endsWith('.t') ? word : `${word}.t`))
  const absent = files.filter((file) => !existsSync(join(folder, file)))
  if (absent.length > 0) fail(`not in ${folder}: ${absent.join(' ')}`)
  return files
}

function positive(text) {
  const number = Number(text)
  return Number.isSafeInteger(number) && number > 0 ? number : fail(`not a positive number: ${text}`)
}

function fail(reason) {
  process.stderr.write(`${reason}\n\n${USAGE}\n`)
  process.exit(2)
}
