// When a module is called, and when what it tells is passed on: never while it is being called.

/** The longest time that timers take, in milliseconds: 24 days. */
export const LONGEST_WAIT = 0x7fff_ffff

/** The turns that a module and the page take. */
export class Turns {
  private readonly pending: (() => void)[] = []
  private timer: ReturnType<typeof setTimeout> | undefined
  private isSettling = false
  private isStopped = false

  /**
   * @param deadline when the module is due, in milliseconds; Infinity if it never is
   * @param advance calls the module when it is
   */
  constructor(
    private readonly deadline: () => number,
    private readonly advance: () => void,
    private readonly now: () => number,
  ) {}

  /** Has something done when the module has returned. */
  add(next: () => void): void {
    this.pending.push(next)
  }

  /** Passes on what the module has told, and sets the clock for what is due. */
  settle(): void {
    if (this.isSettling) return
    this.isSettling = true
    for (let next = this.pending.shift(); next !== undefined; next = this.pending.shift()) {
      try {
        next()
      } catch (error) {
        // One that fails keeps no other from being passed on.
        reportError(error)
      }
    }
    this.isSettling = false
    clearTimeout(this.timer)
    const deadline = this.deadline()
    if (this.isStopped || deadline === Infinity) return
    const pause = Math.min(LONGEST_WAIT, Math.max(0, Math.ceil(deadline - this.now())))
    this.timer = setTimeout(this.advance, pause)
  }

  /** From now on nothing is due. */
  stop(): void {
    this.isStopped = true
    clearTimeout(this.timer)
  }
}
