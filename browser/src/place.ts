/** Where the module lies if nobody says; set by the script that is loaded. */
export const place: { module: URL | undefined } = { module: undefined }
