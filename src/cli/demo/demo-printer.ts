// The answer of a demonstration as it comes: to a terminal piece by piece, elsewhere in whole lines, and at once there
// too, since here it is about the showing.
import { print } from '../terminal/terminal.ts';

const LINE_COLUMNS = 80;

export interface DemoPrinter {
  readonly more: (text: string) => void;
  readonly done: () => void;
}

export function answerPrinter(): DemoPrinter {
  if (process.stdout.isTTY) {
    return {
      more: (text) => void process.stdout.write(text),
      done: () => void process.stdout.write('\n'),
    };
  }
  let line = '';
  const flush = (upTo: number): void => {
    print(line.slice(0, upTo).trimEnd());
    line = line.slice(upTo).replace(/^[ \n]/, '');
  };
  return {
    more: (text) => {
      line += text;
      for (;;) {
        const newline = line.indexOf('\n');
        if (newline >= 0) flush(newline);
        else if (line.length > LINE_COLUMNS) {
          const space = line.lastIndexOf(' ', LINE_COLUMNS);
          flush(space > 0 ? space : LINE_COLUMNS);
        } else return;
      }
    },
    done: () => {
      if (line !== '') flush(line.length);
    },
  };
}
