// What of the scripts a page does without that reads from nodes over WebSockets: WebRTC, on both sides of
// the line between the page and its node; other tabs, gateways and names; what files are; and putting.

export { Associations } from './associations.js'
export { DataChannels } from './data-channels.js'
export { Gateways } from './gateways.js'
export { typeOf } from './media-types.js'
export { Names } from './names.js'
export { put } from './putting.js'
export { Tabs } from './tabs.js'
