// What a page and its node say to each other. The node works in a worker, or on the page's thread where
// there is none; it is the same in both.

import type { MeshOptions } from './contracts.js'
import type { Fault, MeshAnswer, MeshDemand, MeshRequest } from './messages.js'
import type { NodeOptions, Status, WeftEventMap } from './options.js'
import type { Step } from './signals.js'

/** One end of the line between the two. */
export interface Line<Said, Heard> {
  postMessage(said: Said, transfer: Transferable[]): void
  onmessage: ((event: { readonly data: Heard }) => void) | null
}

/** A request of the page's own `fetch`. */
export interface PageRequest {
  readonly url: string
  readonly method: string
  readonly headers: [string, string][]
  readonly body: ArrayBuffer | undefined
  readonly cache: RequestCache
  readonly integrity: string
  readonly mesh: MeshOptions | undefined
}

/** What the page wants and has one answer, which may be nothing. */
export type Wish =
  /** Begin; answered when peers are being dialled. */
  | { readonly kind: 'start'; readonly options: NodeOptions }
  /** Give peers what is kept if the options say so, now that the page has loaded. */
  | { readonly kind: 'give' }
  | { readonly kind: 'serve'; readonly isServing: boolean }
  | { readonly kind: 'connect'; readonly address: string }
  | { readonly kind: 'record'; readonly cid: string }
  /** Add a file, or what comes piece by piece under this number. */
  | { readonly kind: 'put'; readonly content: Blob | number }
  /** A piece of that, or its end; answered when there is room for the next. */
  | { readonly kind: 'piece'; readonly stream: number; readonly bytes: Uint8Array | undefined }
  /** What was to be added cannot be read. */
  | { readonly kind: 'unreadable'; readonly stream: number; readonly fault: Fault }

/** What a page says. */
export type PageSaid =
  | { readonly kind: 'module'; readonly module: WebAssembly.Module }
  | { readonly kind: 'wish'; readonly number: number; readonly wish: Wish }
  | { readonly kind: 'fetch'; readonly number: number; readonly request: PageRequest }
  /** Of what is fetched. */
  | { readonly kind: 'demand'; readonly number: number; readonly demand: MeshDemand }
  /** A wish is not wanted any more. */
  | { readonly kind: 'cancel'; readonly number: number }
  /** A request of the service worker, which is answered over this port. */
  | { readonly kind: 'pass'; readonly request: MeshRequest; readonly port: MessagePort }
  /** The site has brought so many bytes. */
  | { readonly kind: 'site'; readonly bytes: number }
  | { readonly kind: 'webrtc'; readonly notice: AssociationNotice }
  /** So many more events and news have been heard as there are from one of these to the next. */
  | { readonly kind: 'heard' }
  /** Say that you are there. */
  | { readonly kind: 'beat' }
  | { readonly kind: 'stop' }

/** What a node says. */
export type NodeSaid =
  /** It is there; nothing else is said before. */
  | { readonly kind: 'ready' }
  /** Its worker holds this lock, as long as it lives. */
  | { readonly kind: 'holds'; readonly lock: string }
  /** What became of a wish. */
  | { readonly kind: 'done'; readonly number: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly number: number; readonly fault: Fault }
  /** Of what is fetched. */
  | { readonly kind: 'answer'; readonly number: number; readonly answer: MeshAnswer }
  | { readonly kind: 'event'; readonly name: keyof WeftEventMap; readonly detail: unknown }
  | { readonly kind: 'webrtc'; readonly order: AssociationOrder }
  /** How it stands has changed. */
  | { readonly kind: 'news' }

/** How many events and news a page hears until it says so. */
export const HEARD = 64

/** With all that a node says goes how it stands, once it has begun. */
export interface NodeLetter {
  readonly said: NodeSaid
  readonly status: Status | undefined
}

/** A listener for WebRTC, and the SHA2-256 of its certificate in hexadecimal with colons. */
export interface Listener {
  readonly ip: string
  readonly port: string
  readonly fingerprint: string
}

/**
 * What the page is to do about WebRTC, which browsers have in windows alone. Associations that the node
 * wants have numbers from 1 on; those with other pages, which the page makes, have negative ones.
 */
export type AssociationOrder =
  | { readonly kind: 'dial'; readonly association: number; readonly listener: Listener }
  /** Another page says something. */
  | {
      readonly kind: 'signal'
      readonly call: number
      readonly step: Step
      readonly bytes: Uint8Array
      readonly servers: RTCIceServer[]
    }
  /** No association with another page is to be made any more. */
  | { readonly kind: 'part' }
  | { readonly kind: 'open'; readonly association: number; readonly stream: number }
  | { readonly kind: 'close'; readonly association: number }

/** What becomes of it. */
export type AssociationNotice =
  /** The fingerprint of the page's certificate. */
  | { readonly kind: 'certificate'; readonly association: number; readonly fingerprint: Uint8Array }
  /** A data channel, or what stands for it; with the message that opened it if the other side did. */
  | {
      readonly kind: 'channel'
      readonly association: number
      readonly stream: number
      readonly channel: RTCDataChannel | MessagePort
      readonly opening: Uint8Array | undefined
    }
  /** Something is to be said to another page. */
  | { readonly kind: 'signal'; readonly call: number; readonly step: Step; readonly bytes: Uint8Array }
  /** An association with another page is being made, and is there. */
  | { readonly kind: 'making'; readonly association: number; readonly call: number }
  | { readonly kind: 'made'; readonly association: number; readonly isServer: boolean }
  | { readonly kind: 'lost'; readonly association: number; readonly reason: string }
