/** What there is to be said about an association that is being made, as the module numbers it. */
export const enum Step {
  offer = 0,
  answer = 1,
  candidate = 2,
  /** Make an offer. */
  wanted = 3,
  /** Nothing comes of it. */
  failed = 4,
}
