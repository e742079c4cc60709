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

/** The error of the fetch standard for what could not be fetched. */
export function networkError(what: string, cause: WeftError): TypeError {
  return new TypeError(`${what} could not be fetched: ${cause.message}`, { cause })
}
