// A contract: weft://<cid>/greet?name=Ada answers a greeting.
//
// Each exported function is a method. It reads the request, may fetch other contracts and content,
// writes the response, and ends. Nothing else is there: no clock, no files, no network.
//
// `weft contract build` compiles it for the target wasm32v1-none, which has no standard library;
// for wasm32-unknown-unknown it compiles as well.
#![no_std]

// The functions of the host that are used here; weft.h describes them all.
#[link(wasm_import_module = "weft")]
extern "C" {
    fn field(
        source: i32, kind: i32, name: *const u8, name_length: usize, out: *mut u8,
        out_length: usize,
    ) -> i32;
    fn header(name: *const u8, name_length: usize, value: *const u8, value_length: usize);
    fn write(bytes: *const u8, length: usize);
}

const REQUEST: i32 = 0;
const QUERY: i32 = 2;

#[no_mangle]
pub extern "C" fn greet() {
    let mut query = [0u8; 1024];
    // What does not fit is left out, and the whole length comes back.
    let length = unsafe {
        field(REQUEST, QUERY, core::ptr::null(), 0, query.as_mut_ptr(), query.len())
    };
    let query = &query[..(length.max(0) as usize).min(query.len())];
    let name = query.strip_prefix(b"name=").unwrap_or(b"world");
    set_header("content-type", "text/plain; charset=utf-8");
    print(b"Hello, ");
    print(name);
    print(b"!\n");
}

fn set_header(name: &str, value: &str) {
    unsafe { header(name.as_ptr(), name.len(), value.as_ptr(), value.len()) }
}

fn print(bytes: &[u8]) {
    unsafe { write(bytes.as_ptr(), bytes.len()) }
}

/// A panic ends the call as a trap, which costs all its gas.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
