/**
 * Hands on text that never ends inside a character. A server that cuts its text by UTF-16 units can
 * put the halves of an emoji into two deltas; UTF-8 has no half, so each would be lost by itself.
 */
export interface WholeCharacters {
  readonly push: (text: string) => void;
  readonly end: () => void;
}

export function createWholeCharacters(emit: (text: string) => void): WholeCharacters {
  let half = '';
  return {
    push(text) {
      let whole = half === '' ? text : half + text;
      half = '';
      if (isHighSurrogate(whole.charCodeAt(whole.length - 1))) {
        half = whole.slice(-1);
        whole = whole.slice(0, -1);
        if (whole === '') return;
      }
      emit(whole.isWellFormed() ? whole : whole.toWellFormed());
    },
    end() {
      if (half !== '') emit(half.toWellFormed());
      half = '';
    },
  };
}

function isHighSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}
