// What stands in a result's text in the place of an image, so that the model knows that there was one.

export interface NotedImage {
  readonly mediaType: string;
  readonly bytes: number;
}

/** For a model that does not see it. */
export function unseenImage(image: NotedImage): string {
  return `[${named(image)}, which cannot be shown here.]`;
}

/** For one that has it in the message behind the results. */
export function shownImage(image: NotedImage): string {
  return `[${named(image)}: see the next message.]`;
}

/** `most`: what the bound is, in words. */
export function tooLargeImage(image: NotedImage, most: string): string {
  return `[${named(image)}, which is too large to be shown here: ${most}.]`;
}

/** `most`: what the bound is, in words. */
export function oneImageMore(image: NotedImage, most: string): string {
  return `[${named(image)}, which is one more than are shown here: ${most}.]`;
}

function named({ mediaType, bytes }: NotedImage): string {
  return `An image, ${mediaType}, ${bytes} bytes`;
}
