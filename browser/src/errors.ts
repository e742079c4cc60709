// Why something failed, and how others are told: other tabs, and the page by its node.

import type { Fault } from './messages.js'

/** Why something could not be had. */
export type WeftErrorCode =
  /** No peer could be reached, or none that has it. */
  | 'unreachable'
  /** Nobody who was asked has it. */
  | 'absent'
  /** Who had it sent wrong bytes. */
  | 'unverifiable'
  /** It did not come in time. */
  | 'deadline'
  /** A name that pages cannot resolve. */
  | 'unsupported'
  /** It is there, and cannot be read as a file. */
  | 'unreadable'
  /** The page or its peers lack time, memory or credit for it. */
  | 'resource'
  /** Weft's module has failed, or its worker has come to its end. */
  | 'broken'

/** The cause of the `TypeError` that a fetch fails with. */
export class WeftError extends Error {
  override readonly name = 'WeftError'

  constructor(
    readonly code: WeftErrorCode,
    /** What is wrong, without the trace. */
    readonly what: string,
    /** Who was tried, and what came of it, in order. */
    readonly trace: readonly string[],
  ) {
    super(trace.length > 0 ? `${what} (${trace.join('; ')})` : what)
  }
}

/** What went wrong, in a form that others can be told. */
export function faultOf(error: unknown): Fault {
  // Anything may be thrown.
  const { name = 'Error', message = String(error), cause } = Object(error) as Partial<Error>
  const told = [error, cause].find(isWeftError)
  if (told === undefined) return { name, message }
  return { name, message, cause: { code: told.code, what: told.what, trace: told.trace } }
}

/** The script for calls has a class of its own. */
const isWeftError = (error: unknown): error is WeftError => (error as Error | undefined)?.name === 'WeftError'

/** The error that somebody has told of. */
export function toldError({ name, message, cause: told }: Fault): Error {
  const cause = told && new WeftError(told.code, told.what, told.trace)
  if (name === 'WeftError' && cause !== undefined) return cause
  if (name === 'AbortError') return new DOMException(message, name)
  const Kind = name === 'RangeError' ? RangeError : TypeError
  return new Kind(message, cause && { cause })
}

/** The error of the fetch standard for what could not be fetched. */
export function networkError(what: string, cause: WeftError): TypeError {
  return new TypeError(`${what} could not be fetched: ${cause.message}`, { cause })
}

/** What is under way when Weft is stopped fails with this. */
export function stopped(): DOMException {
  return new DOMException('Weft has been stopped', 'AbortError')
}
