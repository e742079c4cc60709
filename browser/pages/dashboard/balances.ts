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

/** Shows all accounts, each with its changes; those that are open stay open. */
export function showBalances(place: HTMLElement, lines: readonly BalanceLine[]): void {
  const accounts = lines.filter(line => line.cause === undefined)
  const open = new Set(
    [...place.querySelectorAll<HTMLDetailsElement>('details[open]')].map(({ dataset }) => dataset['peer']))
  if (accounts.length === 0) {
    place.replaceChildren(make('p', { class: 'soft' },
      'No contract has been run for a peer, or by one for this node.'))
    return
  }
  accounts.sort((left, right) => Math.abs(right.balance) - Math.abs(left.balance))
  place.replaceChildren(...accounts.map(account => {
    const changes = lines.filter(line => line.cause !== undefined && line.peer === account.peer)
    const details = make('details', { class: 'account', 'data-peer': account.peer },
      make('summary', {},
        make('span', { class: 'mono', title: account.peer }, short(account.peer)),
        make('strong', { class: 'number' }, said(account.balance))),
      make('p', { class: 'soft small' },
        `Done for it: ${number(account.served ?? 0)}. Done by it: ${number(account.received ?? 0)}.`),
      make('ul', { class: 'changes', tabindex: 0, 'aria-label': `Changes with ${short(account.peer)}` },
        ...changes.slice(-MOST).reverse().map(change => {
          const time = new Date((change.time ?? 0) * 1000)
          return make('li', {},
            make('span', {}, change.cause,
              (change.count ?? 1) > 1 ? ` (${number(change.count!)} times)` : ''),
            make('strong', { class: 'number' }, `${signed(change.change ?? 0)} → ${number(change.balance)}`),
            make('time', { class: 'small', datetime: time.toISOString() }, time.toLocaleString('en')))
        })))
    details.open = open.has(account.peer)
    return details
  }))
}
