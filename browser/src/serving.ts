// Whether peers are given what a page keeps, and what that takes.

import type { Core } from './core.js'
import { STAYING } from './pieces.js'
import { rest } from './rest.js'

/** What serving needs of the node. */
export interface ServingHost {
  readonly core: Core
  /** Whether the page makes associations with other pages, if it serves. */
  readonly canMeet: boolean
  now(): number
  settle(): void
  stopMeeting(): void
  /** It is off again, as what it takes is not to be had. */
  remainsReader(): void
}

export class Serving {
  private staying: ReturnType<typeof setTimeout> | undefined
  private isStopped = false

  constructor(
    private readonly host: ServingHost,
    /** What the page wants. */
    public isOn: boolean,
  ) {}

  /** Gives peers what is kept, or does not any more; loads what that takes. */
  async apply(): Promise<void> {
    const { core } = this.host
    if (!this.isOn && !core.isWhole) return
    await this.whole(() => this.applyNow())
  }

  /** Does something with the whole module; without it the page only reads. */
  async whole(act: () => void | Promise<void>): Promise<void> {
    try {
      await Promise.all([this.host.core.whole(), rest()])
    } catch (error) {
      this.isOn = false
      this.host.remainsReader()
      const { message } = error as Error
      return console.warn(`Weft only reads, as the rest of its module is not to be had: ${message}`)
    }
    await act()
  }

  private applyNow(): void {
    const { host } = this
    if (this.isStopped) return
    host.core.run('serve', this.isOn ? 1 : 0)
    // A browser without WebRTC meets no pages.
    const isMeeting = this.isOn && host.canMeet
    // Before the module forgets them: what two have agreed on ends as well.
    if (!isMeeting) host.stopMeeting()
    host.core.run('meet', isMeeting ? 1 : 0, Date.now() / 1000, host.now())
    host.settle()
  }

  /** A page that stays loads the rest of Weft, so that it lacks nothing if the site goes away. */
  stay(): void {
    const { core } = this.host
    if (this.isStopped || core.isWhole) return
    this.staying ??= setTimeout(() => {
      Promise.all([core.whole(), rest()]).catch(() => { this.staying = undefined })
    }, STAYING)
  }

  stop(): void {
    this.isStopped = true
    clearTimeout(this.staying)
  }
}
