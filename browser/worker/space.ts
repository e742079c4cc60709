// Which pages of a file are in use: taken where they fit first, given back, and joined with free ones
// beside them.

/** How many bytes a page has. */
export const PAGE = 4096

export class Space {
  /** Free pages before the end, in their order; none touches another. */
  private free: { start: number; count: number }[] = []
  private end = 0
  /** How many pages are in use. */
  used = 0

  /** Takes so many pages; answers the first of them. */
  take(count: number): number {
    this.used += count
    const index = this.free.findIndex(extent => extent.count >= count)
    const extent = this.free[index]
    if (extent === undefined) {
      const start = this.end
      this.end += count
      return start
    }
    const { start } = extent
    extent.start += count
    extent.count -= count
    if (extent.count === 0) this.free.splice(index, 1)
    return start
  }

  /** Gives pages back. */
  give(start: number, count: number): void {
    this.used -= count
    let index = this.free.findIndex(extent => extent.start > start)
    if (index < 0) index = this.free.length
    const [before, after] = [this.free[index - 1], this.free[index]]
    const joinsBefore = before !== undefined && before.start + before.count === start
    const joinsAfter = after !== undefined && start + count === after.start
    if (joinsBefore && joinsAfter) {
      before.count += count + after.count
      this.free.splice(index, 1)
    } else if (joinsBefore) {
      before.count += count
    } else if (joinsAfter) {
      after.start = start
      after.count += count
    } else {
      this.free.splice(index, 0, { start, count })
    }
  }

  /** Takes exactly these pages; false if one of them is in use. */
  claim(start: number, count: number): boolean {
    if (start >= this.end) {
      const gap = start - this.end
      if (gap > 0) this.free.push({ start: this.end, count: gap })
      this.end = start + count
      // What was free at the end before may touch the gap.
      const last = this.free.length - 1
      const [left, right] = [this.free[last - 1], this.free[last]]
      if (left !== undefined && right !== undefined && left.start + left.count === right.start) {
        left.count += right.count
        this.free.pop()
      }
      this.used += count
      return true
    }
    const index = this.free.findIndex(
      extent => extent.start <= start && start + count <= extent.start + extent.count)
    const extent = this.free[index]
    if (extent === undefined) return false
    const rest = { start: start + count, count: extent.start + extent.count - start - count }
    extent.count = start - extent.start
    const parts = [extent, rest].filter(part => part.count > 0)
    this.free.splice(index, 1, ...parts)
    this.used += count
    return true
  }
}
