// What a page's script gives the module, for pages that have none: nothing is sent, kept or told.

@c(weft_host_send)
func hostSend(_ channel: UInt32, _ bytes: UnsafeRawPointer?, _ count: Int) -> UInt32 { 1 }

@c(weft_host_message)
func hostMessage(
    _ channel: UInt32, _ stream: UInt32, _ kind: UInt32, _ bytes: UnsafeRawPointer?, _ count: Int
) -> UInt32 { 1 }

@c(weft_host_hash)
func hostHash(_ number: UInt32, _ bytes: UnsafeRawPointer?, _ count: Int) -> UInt32 { 0 }

@c(weft_host_stored)
func hostStored(_ hash: UnsafeRawPointer?, _ count: Int) -> UInt32 { 0 }

@c(weft_host_store)
func hostStore(
    _ hash: UnsafeRawPointer?, _ hashCount: Int, _ bytes: UnsafeRawPointer?, _ count: Int
) {}

@c(weft_host_unstore)
func hostUnstore(_ hash: UnsafeRawPointer?, _ count: Int) {}

@c(weft_host_load)
func hostLoad(_ number: UInt32, _ hash: UnsafeRawPointer?, _ count: Int) {}

@c(weft_host_bring)
func hostBring(
    _ number: UInt32, _ reading: UInt32, _ attempt: UInt32, _ cid: UnsafeRawPointer?, _ count: Int
) -> UInt32 { 0 }

@c(weft_host_event)
func hostEvent(
    _ kind: UInt32, _ subject: UInt32, _ number: Double, _ bytes: UnsafeRawPointer?, _ count: Int
) {}
