// Whether the mesh brings answers faster than the site: then the site is not asked for what is on its way from
// peers, until these pause for longer than the site takes to begin.

/** How many answers of the mesh show how fast it is. */
const SHOWN = 2
/** How often it may pause before both are asked for all that is under way. */
const PAUSES = 2

/** The answers to what was asked since nothing was under way last. */
export class Pace {
  private underWay = 0
  /** Since when the site is asked, how long it was before, and how often it has answered. */
  private since = 0
  private asked = 0
  private fromSite = 0
  /** When the mesh has answered last, and how often it has paused. */
  private fromMesh: number[] = []
  private pauses = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private readonly waiting = new Set<() => void>()
  /** Whether the mesh alone is asked. */
  isMeshAhead = false

  /** @param pause for how long the mesh may bring nothing, in milliseconds */
  constructor(private readonly pause: () => number) {}

  /** Something is asked. */
  begin(): void {
    this.underWay += 1
    if (this.underWay > 1) return
    this.since = performance.now()
    this.asked = this.fromSite = this.pauses = 0
    this.fromMesh = []
  }

  end(): void {
    this.underWay -= 1
  }

  siteAnswered(): void {
    this.fromSite += 1
  }

  meshAnswered(): void {
    const now = performance.now()
    this.fromMesh = [...this.fromMesh, now].slice(-SHOWN)
    const time = (now - this.fromMesh[0]!) / (SHOWN - 1)
    const isFaster = time <= (this.asked + now - this.since) / Math.max(1, this.fromSite)
    if (this.isMeshAhead || (this.fromMesh.length === SHOWN && isFaster)) this.lead()
  }

  /** The mesh is asked alone from now on, for as long as it does not pause. */
  lead(): void {
    if (this.pauses >= PAUSES) return
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      this.pauses += 1
      this.fromMesh = []
      this.since = performance.now()
      this.turn(false)
    }, this.pause())
    if (this.isMeshAhead) return
    this.asked += performance.now() - this.since
    this.turn(true)
  }

  private turn(isMeshAhead: boolean): void {
    this.isMeshAhead = isMeshAhead
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const go of waiting) go()
  }

  /** Resolves when the mesh comes to be ahead, or is so no more; not after the signal. */
  change(signal: AbortSignal): Promise<undefined> {
    return new Promise(resolve => {
      const go = (): void => resolve(undefined)
      this.waiting.add(go)
      signal.addEventListener('abort', () => this.waiting.delete(go))
    })
  }
}
