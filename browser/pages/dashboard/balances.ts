// What peers and this node owe each other, and why each balance changed.

import { make, number, short } from '../shared/dom.js'
import type { BalanceLine } from './answers.js'

/** How many changes of one peer are listed. */
const MOST = 100

function signed(change: number): string {
  return `${change < 0 ? '−' : '+'}${number(Math.abs(change))}`
}

/** Who owes whom, in words. */
function said(balance: number): string {
  if (balance === 0) return 'even'
  return balance > 0 ? `owes this node ${number(balance)}` : `is owed ${number(-balance)}`
}

/** What the page shows of one account. */
interface Account {
  readonly element: HTMLDetailsElement
  readonly balance: HTMLElement
  readonly sums: HTMLElement
  readonly changes: HTMLElement
}

const shown = new Map<string, Account>()

/** Shows all accounts, each with its changes. Their elements stay, with the focus and what is open. */
export function showBalances(place: HTMLElement, lines: readonly BalanceLine[]): void {
  const accounts = lines.filter(line => line.cause === undefined)
  const peers = new Set(accounts.map(({ peer }) => peer))
  for (const [peer, { element }] of shown) {
    if (peers.has(peer)) continue
    element.remove()
    shown.delete(peer)
  }
  if (accounts.length === 0) {
    place.replaceChildren(make('p', { class: 'soft' },
      'No contract has been run for a peer, or by one for this node.'))
    return
  }
  if (shown.size === 0) place.replaceChildren()
  accounts.sort((left, right) => Math.abs(right.balance) - Math.abs(left.balance))
  let previous: Element | null = null
  for (const { peer, balance, served, received } of accounts) {
    const account = shown.get(peer) ?? add(peer)
    account.balance.textContent = said(balance)
    account.sums.textContent = `Done for it: ${number(served ?? 0)}. Done by it: ${number(received ?? 0)}.`
    const changes = lines.filter(line => line.cause !== undefined && line.peer === peer)
    account.changes.replaceChildren(...changes.slice(-MOST).reverse().map(line))
    const next: Element | null = previous === null ? place.firstElementChild : previous.nextElementSibling
    const isFocused = account.element.contains(document.activeElement)
    if (next !== account.element && !isFocused) place.insertBefore(account.element, next)
    previous = account.element
  }
}

function add(peer: string): Account {
  const [balance, sums] = [make('strong', { class: 'number' }), make('p', { class: 'soft small' })]
  const changes = make('ul', { class: 'changes', tabindex: 0, 'aria-label': `Changes with ${short(peer)}` })
  const element = make('details', { class: 'account' },
    make('summary', {}, make('span', { class: 'mono', title: peer }, short(peer)), balance), sums, changes)
  const account = { element, balance, sums, changes }
  shown.set(peer, account)
  return account
}

function line({ cause, count = 1, change = 0, balance, time: seconds = 0 }: BalanceLine): HTMLElement {
  const time = new Date(seconds * 1000)
  return make('li', {},
    make('span', {}, cause, count > 1 ? ` (${number(count)} times)` : ''),
    make('strong', { class: 'number' }, `${signed(change)} → ${number(balance)}`),
    make('time', { class: 'small', datetime: time.toISOString() }, time.toLocaleString('en')))
}
