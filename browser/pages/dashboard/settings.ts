// Settings as sliders, switches and choices, and what they are called.

import { bytes, make, number, rate } from '../shared/dom.js'

/** What a setting is, and how it is shown. */
export interface Spec {
  readonly key: string
  readonly label: string
  readonly help?: string
  readonly kind: 'bytes' | 'rate' | 'count' | 'choice'
  /** The steps of a slider: all of these, between the first and the last. */
  readonly from?: number
  readonly to?: number
  /** The choices: values and what they mean. */
  readonly choices?: readonly (readonly [string, string])[]
  /** What nought stands for. */
  readonly nought?: string
  /** The value that leaves it to the node, and what that is called. */
  readonly usual?: readonly [string, string]
}

const KiB = 1024
const MiB = KiB * 1024
const GiB = MiB * 1024
const TiB = GiB * 1024
const profile = ['profile', 'as the profile says'] as const
const none = ['none', 'no limit'] as const

/** What can be set beside the store. */
export const STORE: readonly Spec[] = [
  { key: 'storage.max', label: 'Space on disk', kind: 'bytes', from: 256 * MiB, to: 4 * TiB },
  {
    key: 'storage.cache-ttl', label: 'Keep what was fetched', kind: 'choice', help: 'after its last use',
    choices: [['1h', 'an hour'], ['1d', 'a day'], ['7d', 'a week'], ['30d', 'a month']],
  },
]

/** What can be set beside the limits, under headings. */
export const LIMITS: readonly (readonly [string, readonly Spec[]])[] = [
  ['Bandwidth', [
    { key: 'mesh.bandwidth-in', label: 'Received', kind: 'rate', from: 16 * KiB, to: GiB, usual: none },
    { key: 'mesh.bandwidth-out', label: 'Sent', kind: 'rate', from: 16 * KiB, to: GiB, usual: none },
    {
      key: 'mesh.bandwidth-exchange-out', label: 'Sent as blocks', kind: 'rate', from: 16 * KiB, to: GiB,
      usual: none,
    },
  ]],
  ['Connections', [
    {
      key: 'mesh.reach', label: 'How far the mesh reaches', kind: 'choice',
      choices: [['everywhere', 'everywhere'], ['local', 'this network alone'],
        ['metered', 'little, the line is metered'], ['off', 'nowhere']],
    },
    {
      key: 'mesh.profile', label: 'Kind of machine', kind: 'choice',
      choices: [['home', 'behind a home router'], ['lowpower', 'small or slow'], ['server', 'a server']],
    },
    { key: 'mesh.connections-max', label: 'Connections', kind: 'count', from: 8, to: 4000, usual: profile },
    { key: 'mesh.connections-in', label: 'Opened by others', kind: 'count', from: 0, to: 4000, usual: profile },
    { key: 'mesh.connections-out', label: 'Opened by this node', kind: 'count', from: 1, to: 2000, usual: profile },
    { key: 'mesh.dials-per-second', label: 'Attempts in a second', kind: 'count', from: 1, to: 500, usual: profile },
    { key: 'mesh.streams-max', label: 'Streams of peers', kind: 'count', from: 64, to: 60_000, usual: profile },
    { key: 'mesh.memory', label: 'Memory for peers’ data', kind: 'bytes', from: 4 * MiB, to: 4 * GiB, usual: profile },
  ]],
  ['Contracts', [
    {
      key: 'compute.serve', label: 'Run contracts for peers', kind: 'choice',
      choices: [['on', 'yes, they owe this node for it'], ['off', 'no']],
    },
    {
      key: 'compute.price', label: 'Price of 1,000 gas', kind: 'count', from: 0, to: 1_000_000,
      help: 'in credits',
    },
    {
      key: 'compute.slots', label: 'Calls of peers at a time', kind: 'count', from: 0, to: 256,
      nought: 'one on each core',
    },
    { key: 'compute.memory', label: 'Memory of contracts', kind: 'bytes', from: 64 * MiB, to: 64 * GiB },
  ]],
]

const POWERS: Record<string, number> = { '': 1, KiB, MiB, GiB, TiB }

/** The number of a value, which may have a unit; undefined if it is a word. */
export function amount(value: string | number): number | undefined {
  if (typeof value === 'number') return value
  const parts = /^(\d+(?:\.\d+)?)([KMGT]iB)?$/.exec(value)
  return parts === null ? undefined : Number(parts[1]) * POWERS[parts[2] ?? '']!
}

/** A number of bytes as the configuration takes it: in the largest unit that leaves it whole. */
function written(count: number): string {
  const unit = ['TiB', 'GiB', 'MiB', 'KiB'].find(name => count % POWERS[name]! === 0) ?? ''
  return `${count / POWERS[unit]!}${unit}`
}

/** Round numbers between two, closer together where they are small. */
function steps(spec: Spec): number[] {
  const [from, to] = [spec.from ?? 0, spec.to ?? 1]
  const [base, parts] = spec.kind === 'count' ? [10, [1, 1.5, 2, 3, 4, 5, 6, 8]] : [2, [1, 1.25, 1.5, 1.75]]
  const found = new Set([from, to])
  for (let power = 1; power <= to; power *= base) {
    for (const part of parts) {
      const value = power * part
      if (Number.isInteger(value) && value > from && value < to) found.add(value)
    }
  }
  return [...found].sort((left, right) => left - right)
}

/** One setting. It says `change` with the value that the configuration is to take. */
export class LimitSetting extends HTMLElement {
  private spec!: Spec
  private positions: (number | string)[] = []
  private control!: HTMLInputElement | HTMLSelectElement
  private readonly output = make('output')
  private readonly foot = make('div', { class: 'foot' })
  private reset: HTMLButtonElement | undefined

  /** Makes its elements. */
  build(spec: Spec): this {
    this.spec = spec
    const id = `set-${spec.key.replace('.', '-')}`
    const label = make('label', { for: id }, spec.label)
    const head = make('div', { class: 'head' }, label)
    if (spec.kind === 'choice') {
      this.control = make('select', { id }, ...spec.choices!.map(
        ([value, text]) => make('option', { value }, text)))
      this.control.addEventListener('change', () => this.say(this.control.value))
    } else {
      this.control = make('input', { id, type: 'range', step: 1, min: 0 })
      head.append(this.output)
      this.control.addEventListener('input', () => this.tell())
      this.control.addEventListener('change', () => this.say(this.value))
    }
    if (spec.help !== undefined) {
      const help = make('span', { class: 'soft small', id: `${id}-help` }, spec.help)
      this.control.setAttribute('aria-describedby', help.id)
      this.foot.append(help)
    } else {
      this.foot.append(make('span'))
    }
    if (spec.usual?.[0] === 'profile') {
      this.reset = make('button', { class: 'quiet', type: 'button', 'aria-label': `${spec.label}: ${spec.usual[1]}` },
        spec.usual[1])
      this.reset.addEventListener('click', () => this.say('profile'))
      this.foot.append(this.reset)
    }
    this.replaceChildren(head, this.control, this.foot)
    return this
  }

  /** Shows a value of the configuration; `inForce` is the number that a word stands for now. */
  show(value: string | number, inForce?: number): void {
    if (this.spec.kind === 'choice') {
      const select = this.control as HTMLSelectElement
      if (![...select.options].some(option => option.value === `${value}`)) {
        select.append(make('option', { value: `${value}` }, `${value}`))
      }
      select.value = `${value}`
      return
    }
    const set = amount(value)
    const known = set ?? (this.spec.usual?.[0] === 'none' ? undefined : inForce)
    const numbers = steps(this.spec)
    if (known !== undefined && !numbers.includes(known)) numbers.push(known)
    numbers.sort((left, right) => left - right)
    // What is unlimited lies beyond the largest number.
    this.positions = this.spec.usual?.[0] === 'none' ? [...numbers, 'none'] : numbers
    const range = this.control as HTMLInputElement
    range.max = `${this.positions.length - 1}`
    range.value = `${this.positions.indexOf(known ?? 'none')}`
    if (this.reset !== undefined) this.reset.hidden = set === undefined
    this.tell()
  }

  private get chosen(): number | string {
    return this.positions[Number(this.control.value)] ?? this.positions[0] ?? 0
  }

  private get value(): string {
    const { chosen } = this
    if (typeof chosen === 'string') return chosen
    return this.spec.kind === 'count' ? `${chosen}` : written(chosen)
  }

  private tell(): void {
    const { chosen } = this
    const { kind } = this.spec
    const text = typeof chosen === 'string' ? this.spec.usual![1]
      : chosen === 0 && this.spec.nought !== undefined ? this.spec.nought
      : kind === 'bytes' ? bytes(chosen) : kind === 'rate' ? rate(chosen) : number(chosen)
    this.output.textContent = text
    this.control.setAttribute('aria-valuetext', text)
  }

  private say(value: string): void {
    this.dispatchEvent(new CustomEvent('set', { detail: value }))
  }
}

customElements.define('limit-setting', LimitSetting)

declare global {
  interface HTMLElementTagNameMap { 'limit-setting': LimitSetting }
}
