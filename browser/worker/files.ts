// Files of the origin's private file system, which TypeScript 4.8 does not know yet.

/** A file that one worker has for itself. */
export interface FileHandle {
  read(buffer: Uint8Array, options: { at: number }): number
  write(buffer: Uint8Array, options: { at: number }): number
  getSize(): number
  truncate(size: number): void
  flush(): void
  close(): void
}

/** The folder of the origin's private file system that is Weft's. */
const FOLDER = 'weft'

/** Opens a file, and makes it if there is none. */
export async function openFile(name: string): Promise<FileHandle> {
  const root = await navigator.storage.getDirectory()
  const folder = await root.getDirectoryHandle(FOLDER, { create: true })
  const file = await folder.getFileHandle(name, { create: true })
  return (file as unknown as { createSyncAccessHandle(): Promise<FileHandle> })
    .createSyncAccessHandle()
}
