/** Posts what `work` comes to, or why it failed. */
export async function report(work) {
  let outcome
  try {
    outcome = await work()
  } catch (error) {
    outcome = { failure: `${error.stack}` }
  }
  await fetch('/result', { method: 'POST', body: JSON.stringify(outcome) })
}
