// Elements, and numbers as people read them. What peers and contracts say becomes text, never markup.

type Attributes = Record<string, string | number | boolean | undefined>
type Child = Node | string | undefined

const SVG = 'http://www.w3.org/2000/svg'

function fill(element: Element, attributes: Attributes, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue
    element.setAttribute(name, value === true ? '' : `${value}`)
  }
  element.append(...children.filter((child): child is Node | string => child !== undefined))
}

/** An element with attributes and children. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name)
  fill(element, attributes, children)
  return element
}

/** The same for a drawing. */
export function draw<Name extends keyof SVGElementTagNameMap>(
  name: Name, attributes: Attributes = {}, ...children: Child[]
): SVGElementTagNameMap[Name] {
  const element = document.createElementNS(SVG, name) as SVGElementTagNameMap[Name]
  fill(element, attributes, children)
  return element
}

/** The element with an id, which the page's markup has. */
export function byId<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`the page has no element ${id}`)
  return element as Kind
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** A number of bytes. */
export function bytes(count: number): string {
  let unit = 0
  let value = count
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** Bytes per second. */
export const rate = (count: number): string => `${bytes(count)}/s`

/** A whole number. */
export const number = (value: number): string => Math.round(value).toLocaleString('en')

/** A time span in seconds. */
export function span(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** A CID or a peer's name, short: they differ at their ends. */
export function short(name: string): string {
  return name.length <= 16 ? name : `${name.slice(0, 6)}…${name.slice(-6)}`
}

/** A number from 0 up to 2^32 that a text always gives again. */
export function hash(text: string): number {
  let value = 2_166_136_261
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 16_777_619) >>> 0
  }
  // The last characters differ least in what has been mixed least.
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d) >>> 0
  return (value ^ (value >>> 13)) >>> 0
}
