// The thread that reads documents: bytes in, text or why not out.
import type { DocumentReading } from '../chat/ports/document.ts';
import { answerJobs } from '../processes/work-thread.ts';
import { decodeText } from './decode-text.ts';
import { docxText } from './docx.ts';
import { htmlText } from './html.ts';
import { pdfText } from './pdf.ts';
import type { ReadJob, ReadReply } from './reader-protocol.ts';
import { boundLength } from './text-bound.ts';
import { Unreadable } from './unreadable.ts';

interface Content {
  readonly text: string;
  /** Empty: none. */
  readonly title: string;
}

async function contentOf({ kind, data, charset }: ReadJob): Promise<Content> {
  switch (kind) {
    case 'pdf':
      return { text: await pdfText(data), title: '' };
    case 'docx':
      return { text: await docxText(data), title: '' };
    case 'html':
      return htmlText(data, charset);
    case 'text':
      return { text: decodeText(data, charset), title: '' };
  }
}

/** NUL and halves of surrogate pairs are no text that can be stored and sent. */
function clean(text: string): string {
  return text.replaceAll('\0', '').toWellFormed().trim();
}

async function read(job: ReadJob): Promise<DocumentReading> {
  try {
    const content = await contentOf(job);
    boundLength(content.text.length);
    const [text, title] = [clean(content.text), clean(content.title)];
    if (text !== '') return title === '' ? { text } : { text, title };
    const scan = job.kind === 'pdf' ? '; if it is a scan, send its pages as images' : '';
    return { unreadable: `has no text${scan}` };
  } catch (error) {
    if (error instanceof Unreadable) return { unreadable: error.message };
    if (error instanceof RangeError && error.message.includes('call stack')) {
      return { unreadable: 'is nested too deep to be read' };
    }
    return broken(job);
  }
}

function broken({ kind }: ReadJob): DocumentReading {
  return { unreadable: `is a broken ${kind.toUpperCase()}` };
}

/** Of the process, which has them from who started it. */
const memoryBytes = Number(process.argv[2]);

answerJobs(async (job: ReadJob): Promise<ReadReply> => {
  // What a library throws where nobody waits for it is the document's fault as well.
  const thrown = Promise.withResolvers<undefined>();
  const onThrown = (): void => thrown.resolve(undefined);
  process.once('uncaughtException', onThrown);
  const reading = await Promise.race([read(job), thrown.promise]);
  process.off('uncaughtException', onThrown);
  if (reading === undefined) return { reading: broken(job), last: true };
  // Memory that was once taken is seldom given back.
  return { reading, last: process.memoryUsage.rss() > memoryBytes / 2 };
});
