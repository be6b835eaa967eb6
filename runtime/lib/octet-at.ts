/**
 * One octet of a byte string, at a price that does not depend on how the string came about.
 *
 * V8 has five kinds of one-byte strings (flat, joined, cut out, interned, and what an interned one leaves behind), and a
 * place that has met all of them looks `text.charCodeAt` up anew for every character: four times dearer than this bound
 * call, for which it never asks (`test/bench/micro-octets.ts`). Requests bring all five to every loop on their way.
 */

/** `text.charCodeAt(at)`: NaN beyond the end. */
export const octetAt: (text: string, at: number) => number = Function.prototype.call.bind(
  String.prototype.charCodeAt,
)
