export const isMedia = (p: string): boolean => /\.(wav|aiff?|flac|mp3|ogg|m4a|caf|bwf|rf64|w64|mid)$/i.test(p);
