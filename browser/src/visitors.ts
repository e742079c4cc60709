// The associations with other pages. What the two say to each other goes through a node and is the
// module's; here are the browser's part of it and its answers, which are passed on as they are.

import { Step } from './signals.js'
import { Association, line } from './webrtc.js'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What is made of associations with other pages. */
export interface Host {
  /** Says something to the other page. */
  say(call: number, step: Step, bytes: Uint8Array): void
  /** Adopts an association that is being made for a call; answers who is told that it is there. */
  adopt(connection: RTCPeerConnection, call: number, ignored: string): {
    readonly association: Association; made(isServer: boolean): void
  }
}

/** The channel with which the one that offers gives the session something to agree on. */
const INIT = 'init'
/** How long it may take until two pages are connected, in milliseconds. */
const PATIENCE = 15_000

/** All associations with other pages that are being made. */
export class Visitors {
  private readonly calls = new Map<number, Call>()

  constructor(private readonly host: Host) {}

  take(number: number, step: Step, bytes: Uint8Array, servers: RTCIceServer[]): void {
    const known = this.calls.get(number)
    const text = new TextDecoder().decode(bytes)
    if (known !== undefined) return known.take(step, text)
    if (step !== Step.wanted && step !== Step.offer) return
    try {
      const connection = new RTCPeerConnection({ iceServers: servers })
      const call = new Call(
        number, step === Step.wanted, connection, this.host, () => this.calls.delete(number))
      this.calls.set(number, call)
      call.take(step, text)
    } catch {
      // The browser has no more of them.
      this.host.say(number, Step.failed, new Uint8Array())
    }
  }

  stop(): void {
    for (const call of [...this.calls.values()]) call.end()
  }
}

/** How many ways a description may name. */
const MAX_WAYS = 32

/**
 * The description, if it is of data channels alone: the browser would also receive and decode a
 * stranger's sound and pictures. Of the ways that it names only those are left that are allowed.
 */
function checked(description: string): string {
  const lines = description.split(/\r\n|\r|\n/)
  const media = lines.filter(line => line.startsWith('m='))
  const ways = lines.filter(line => line.startsWith('a=candidate:'))
  if (media.length !== 1 || !/^m=application .* webrtc-datachannel$/.test(media[0]!) || ways.length > MAX_WAYS) {
    throw new TypeError('another page describes something else than data channels')
  }
  return lines.filter(line => !ways.includes(line) || isWay(line.slice(2))).join('\r\n')
}

/**
 * Whether a candidate names a UDP port of an address, or of a name of the local network: no other names are looked
 * up, and nobody may have the browser open TCP connections to what listens in the visitor's networks.
 */
function isWay(candidate: unknown): boolean {
  return typeof candidate === 'string' && WAY.test(candidate)
}

const WAY = /^candidate:\S+ \d+ udp \d+ ([\d.]+|[\da-f:]*:[\da-f:.]*|[\w-]+\.local) \d+ typ [ -~]+$/i

/** One association that is being made. */
class Call {
  private readonly association: Association
  private readonly timer: ReturnType<typeof setTimeout>
  /** What is said is done in its order. */
  private done: Promise<void> = Promise.resolve()
  private isAgreed = false
  private isOver = false

  constructor(
    private readonly number: number,
    private readonly isOffering: boolean,
    private readonly connection: RTCPeerConnection,
    private readonly host: Host,
    private readonly forget: () => void,
  ) {
    const { association, made } = host.adopt(connection, number, INIT)
    this.association = association
    this.timer = setTimeout(() => this.fail(), PATIENCE)
    connection.onicecandidate = ({ candidate }) => {
      if (isWay(candidate?.candidate)) this.say(Step.candidate, JSON.stringify(candidate))
    }
    const init = isOffering ? connection.createDataChannel(INIT) : undefined
    connection.onconnectionstatechange = () => {
      const state = connection.connectionState
      if (state === 'failed' || state === 'closed') return this.fail()
      if (state !== 'connected') return
      this.end(true)
      association.watch()
      made(this.isServer)
      init?.close()
    }
  }

  /** Who answers usually begins DTLS; the other one is its server, and numbers channels so. */
  private get isServer(): boolean {
    const answer = this.isOffering
      ? this.connection.remoteDescription : this.connection.localDescription
    return (line(answer?.sdp ?? '', 'setup') === 'active') === this.isOffering
  }

  take(step: Step, text: string): void {
    // Two that have agreed need nobody any more.
    if (step === Step.failed) return this.isAgreed ? undefined : this.fail()
    this.done = this.done.then(() => this.isOver ? undefined : this.carryOut(step, text))
      .catch(() => this.fail())
  }

  private async carryOut(step: Step, text: string): Promise<void> {
    const { connection } = this
    switch (step) {
      case Step.wanted:
        await connection.setLocalDescription()
        return this.say(Step.offer, connection.localDescription!.sdp)
      case Step.offer:
        await connection.setRemoteDescription({ type: 'offer', sdp: checked(text) })
        await connection.setLocalDescription()
        this.isAgreed = true
        return this.say(Step.answer, connection.localDescription!.sdp)
      case Step.answer:
        await connection.setRemoteDescription({ type: 'answer', sdp: checked(text) })
        this.isAgreed = true
        return
      case Step.candidate:
        // A way that is not allowed, or that this browser does not understand, leaves the others.
        if (!isWay(JSON.parse(text).candidate)) return
        return connection.addIceCandidate(JSON.parse(text)).catch(() => {})
      case Step.failed:
    }
  }

  private say(step: Step, text: string): void {
    if (!this.isOver) this.host.say(this.number, step, utf8(text))
  }

  private fail(): void {
    if (this.isOver) return
    this.end()
    this.host.say(this.number, Step.failed, new Uint8Array())
  }

  /** Nothing more is done about it; the association is closed if nobody has it. */
  end(isConnected = false): void {
    if (this.isOver) return
    this.isOver = true
    clearTimeout(this.timer)
    this.forget()
    this.connection.onicecandidate = null
    if (!isConnected) this.association.close()
  }
}
