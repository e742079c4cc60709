// The script for calls, loaded by the others when it is needed.

export { Calls } from './calls.js'
