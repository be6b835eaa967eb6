/**
 * The variables that exist without being set in a configuration: nginx 1.31's core, proxy, upstream, realip,
 * stub_status, gzip, ssi and limit variables, and `$sluice_generation`. Names only; `proxy/` gives them their values.
 */

export const BUILTIN_VARIABLES: ReadonlySet<string> = new Set(
  `
  args binary_remote_addr body_bytes_sent bytes_sent connection connection_requests connection_time
  content_length content_type document_root document_uri host hostname http2 https is_args is_request_port
  limit_rate msec nginx_version pid pipe proxy_protocol_addr proxy_protocol_port proxy_protocol_server_addr
  proxy_protocol_server_port query_string realpath_root remote_addr remote_port remote_user request request_body
  request_body_file request_completion request_filename request_id request_length request_method request_port
  request_time request_uri scheme server_addr server_name server_port server_protocol status tcpinfo_rtt
  tcpinfo_rttvar tcpinfo_snd_cwnd tcpinfo_rcv_space time_iso8601 time_local uri

  proxy_add_x_forwarded_for proxy_host proxy_internal_body_length proxy_internal_chunked proxy_port
  upstream_addr upstream_bytes_received upstream_bytes_sent upstream_cache_status upstream_connect_time
  upstream_header_time upstream_response_length upstream_response_time upstream_status

  connections_active connections_reading connections_waiting connections_writing date_gmt date_local gzip_ratio
  limit_conn_status limit_req_status realip_remote_addr realip_remote_port sluice_generation
  `
    .split(/\s+/)
    .filter((name) => name !== ''),
)

/** `$arg_NAME` and the like: whatever follows the prefix is a variable. */
export const VARIABLE_PREFIXES: readonly string[] = [
  'arg_',
  'cookie_',
  'http_',
  'proxy_protocol_tlv_',
  'sent_http_',
  'sent_trailer_',
  'upstream_cookie_',
  'upstream_http_',
  'upstream_trailer_',
]

/** The built-in variables that `set`, `map` and captures may replace; nginx refuses the others. */
export const CHANGEABLE_VARIABLES: ReadonlySet<string> = new Set([
  'args',
  'limit_rate',
  'proxy_host',
  'proxy_port',
])

/** Request header fields that nginx defines as variables of their own, not by prefix: not to be replaced either. */
const FIXED_FIELDS: ReadonlySet<string> = new Set(
  `http_host http_user_agent http_referer http_via http_x_forwarded_for http_cookie sent_http_content_type
  sent_http_content_length sent_http_location sent_http_last_modified sent_http_connection sent_http_keep_alive
  sent_http_transfer_encoding sent_http_cache_control sent_http_link`.split(/\s+/),
)

/** Variables of nginx's stock modules that Sluice does not have. */
export const FOREIGN_VARIABLES: ReadonlySet<string> = new Set(
  `
  ancient_browser fastcgi_path_info fastcgi_script_name geoip_area_code geoip_city
  geoip_city_continent_code geoip_city_country_code geoip_city_country_code3 geoip_city_country_name
  geoip_country_code geoip_country_code3 geoip_country_name geoip_dma_code geoip_latitude geoip_longitude
  geoip_org geoip_postal_code geoip_region geoip_region_name http3 invalid_referer
  memcached_key modern_browser msie secure_link secure_link_expires slice_range ssl_alpn_protocol
  ssl_cipher ssl_ciphers ssl_client_cert ssl_client_escaped_cert ssl_client_fingerprint ssl_client_i_dn
  ssl_client_i_dn_legacy ssl_client_raw_cert ssl_client_s_dn ssl_client_s_dn_legacy ssl_client_serial
  ssl_client_sigalg ssl_client_v_end ssl_client_v_remain ssl_client_v_start ssl_client_verify ssl_curve ssl_curves
  ssl_early_data ssl_ech_outer_server_name ssl_ech_status ssl_protocol ssl_server_name ssl_session_id
  ssl_session_reused ssl_sigalg ssl_sigalgs uid_got uid_reset uid_set upstream_cache_etag
  upstream_cache_last_modified
  `
    .split(/\s+/)
    .filter((name) => name !== ''),
)

/** True for a variable that needs no definition: a capture, a built-in, or one of the prefix families. */
export function isBuiltinVariable(name: string): boolean {
  return (
    /^[1-9]$/.test(name) ||
    BUILTIN_VARIABLES.has(name) ||
    VARIABLE_PREFIXES.some((prefix) => name.startsWith(prefix))
  )
}

/** True for names that `set`, `map`, `geo` or a capture may not define. */
export function isReservedVariable(name: string): boolean {
  return FIXED_FIELDS.has(name) || (BUILTIN_VARIABLES.has(name) && !CHANGEABLE_VARIABLES.has(name))
}
