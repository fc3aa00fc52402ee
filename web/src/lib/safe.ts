// Text of services is somebody else's. The page only ever makes text nodes of it; this takes away what would still
// change how the text around it looks: control characters, and those that turn the direction of writing.

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g

/** One line of somebody else's text, with nothing invisible in it. */
export const plain = (text: string) => text.replace(HIDDEN, '\ufffd')
