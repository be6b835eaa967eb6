/** Which addresses only this machine can reach. */

/** @param host an IP address, without brackets */
export function isLoopback(host: string): boolean {
  return /^127(?:\.\d{1,3}){3}$/.test(host) || host === '::1' || host.toLowerCase() === 'localhost'
}
