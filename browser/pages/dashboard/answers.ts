// What the local API answers, as far as the dashboard looks at it.

export interface Flow {
  readonly bytes: number
  readonly bytesPerSecond: number
  readonly limit: number | null
  readonly heldBack: number
}

export interface Ceiling {
  readonly name: string
  readonly key: string
  readonly limit: number
  readonly count?: number
  readonly heldBack?: number
}

export interface Limits {
  readonly peer: string
  readonly profile: string
  readonly peers?: number
  readonly store: { readonly usedBytes: number; readonly maxBytes: number }
  readonly limits?: readonly Ceiling[]
  readonly bandwidth: {
    readonly received: Flow
    readonly sent: Flow
    readonly protocols: readonly {
      readonly protocol: string
      readonly receivedBytes: number
      readonly receivedPerSecond: number
      readonly sentBytes: number
      readonly sentPerSecond: number
    }[]
  }
}

export interface Peer {
  readonly peer: string
  readonly agent: string
  readonly roundTripNanoseconds?: number
  readonly protocols: readonly string[]
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly connections: readonly {
    readonly address: string
    readonly direction: string
    readonly ageSeconds: number
    readonly streams: number
  }[]
}

export interface Setting {
  readonly key: string
  readonly value: string | number | readonly string[]
  readonly restart?: boolean
}

/** A line of `balance`: an account, or, with a cause, a change of one. */
export interface BalanceLine {
  readonly peer: string
  readonly balance: number
  readonly served?: number
  readonly received?: number
  readonly change?: number
  readonly time?: number
  readonly cause?: string
  readonly count?: number
}

export interface Diagnosis {
  readonly well: boolean
  readonly findings: readonly {
    readonly subject: string
    readonly verdict: 'good' | 'note' | 'problem'
    readonly summary: string
    readonly details: readonly string[]
    readonly advice?: string | null
  }[]
}

/** What kind of peer one is, by what it says of itself. */
export function kindOf({ agent }: Peer): 'page' | 'weft' | 'other' {
  if (agent.startsWith('weft-page')) return 'page'
  return agent.startsWith('weft') ? 'weft' : 'other'
}
