// Why something failed, and how other tabs are told.

import type { MeshCause } from './messages.js'

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
  /** Weft's module has failed; Weft can be stopped and started anew. */
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

/** What went wrong in the mesh, in a form that another tab can be told. */
export function causeOf(error: unknown): MeshCause | undefined {
  const cause = error instanceof WeftError ? error : (error as Error).cause
  if (!(cause instanceof WeftError)) return undefined
  return { code: cause.code, what: cause.what, trace: cause.trace }
}

/** The error that another tab has told of. */
export function toldError(message: string, cause: MeshCause | undefined): TypeError {
  const { code, what, trace } = cause ?? {}
  if (code === undefined) return new TypeError(message)
  return new TypeError(message, { cause: new WeftError(code, what!, trace!) })
}

/** The error of the fetch standard for what could not be fetched. */
export function networkError(what: string, cause: WeftError): TypeError {
  return new TypeError(`${what} could not be fetched: ${cause.message}`, { cause })
}
