// How a request is answered: its head, then its body piece by piece, as the other side demands them.

import type { MeshResponse } from './contracts.js'
import { faultOf } from './errors.js'
import type { MeshAnswer, MeshDemand } from './messages.js'

/** How long an answer is kept of which nobody demands more, in milliseconds: workers may be ended. */
export const DEMAND = 120_000

/** What an answer goes over. */
export interface AnswerPort {
  onmessage: ((event: { readonly data: MeshDemand }) => void) | null
  postMessage(answer: MeshAnswer, transfer: Transferable[]): void
  close(): void
}

/** Answers a request with what `ask` brings, which is waited for as long as more is demanded in time. */
export async function answer(
  ask: (signal: AbortSignal) => Promise<Response>, port: AnswerPort, isConnected = true, patience = DEMAND,
): Promise<void> {
  const abort = new AbortController()
  let begin = (_: ReadableStreamDefaultReader<Uint8Array> | undefined): void => {}
  // What is demanded before the head is there waits for it.
  const reader = new Promise<ReadableStreamDefaultReader<Uint8Array> | undefined>(
    resolve => { begin = resolve })
  let timer: ReturnType<typeof setTimeout> | undefined
  let isOver = false
  const say = (answer: MeshAnswer, transfer: Transferable[] = []): void => {
    if (!isOver) port.postMessage(answer, transfer)
  }
  const end = (last?: MeshAnswer): void => {
    clearTimeout(timer)
    if (last !== undefined) say(last)
    isOver = true
    port.close()
  }
  const fail = (error: unknown): void => end({ kind: 'failed', fault: faultOf(error) })
  const awaitDemand = (): void => {
    // There may have been several demands before a piece.
    clearTimeout(timer)
    if (isOver || patience === Infinity) return
    timer = setTimeout(() => {
      abort.abort()
      const message = 'nobody has demanded more for two minutes'
      end({ kind: 'failed', fault: { name: 'TypeError', message }, isIdle: true })
    }, patience)
  }
  port.onmessage = async ({ data }) => {
    clearTimeout(timer)
    if (data === 'stop') {
      abort.abort()
      return end()
    }
    try {
      const next = await (await reader)?.read()
      if (next === undefined || next.done) return end({ kind: 'end' })
      say({ kind: 'piece', bytes: next.value }, [next.value.buffer])
      awaitDemand()
    } catch (error) {
      fail(error)
    }
  }
  say({ kind: 'taken', isConnected })
  try {
    const response = await ask(abort.signal)
    const { mesh } = response as Response & { mesh?: MeshResponse }
    say({
      kind: 'head', status: response.status, headers: [...response.headers], ...(mesh && { mesh }),
    })
    begin(response.body?.getReader())
    awaitDemand()
  } catch (error) {
    fail(error)
  }
}
