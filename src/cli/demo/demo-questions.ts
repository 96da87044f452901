// What `tailrace demo --tools` asks: requests as any client would send them, as JSON. Each brings two questions that
// are answered, since the model does as it sees done. The questions, the short notes and the name of the column "flour"
// were chosen by trying: the embedded model gets these right, and most others not.
import type { JsonObject } from '@bufbuild/protobuf';
import { pathToFileURL } from 'node:url';

interface Example {
  readonly asked: string;
  readonly input: JsonObject;
  readonly result: JsonObject;
  readonly answer: string;
}

export interface DemoQuestion {
  readonly asked: string;
  readonly request: JsonObject;
}

const MAX_TOKENS = 120;

/** `file`: of SQLite, with the table of demo/mills.sql. */
export function askDatabase(file: string): DemoQuestion {
  const example = (
    asked: string,
    sql: string,
    columns: string[],
    row: (string | number)[],
    answer: string,
  ): Example => {
    return { asked, input: { database: 'mills', sql }, result: { columns, rows: [row] }, answer };
  };
  const examples = [
    example(
      'Which mill has the most wheels?',
      'SELECT name, wheels FROM mills ORDER BY wheels DESC LIMIT 1',
      ['name', 'wheels'],
      ['Weir Mill', 4],
      'Weir Mill has the most wheels: 4.',
    ),
    example(
      'Which mill was closed first?',
      'SELECT name, closed FROM mills ORDER BY closed ASC LIMIT 1',
      ['name', 'closed'],
      ['Fuller Mill', 1871],
      'Fuller Mill was closed first, in 1871.',
    ),
  ];
  const connection = `sqlite://${pathToFileURL(file).pathname}`;
  return question('Which mill made the most flour?', 'database_query', examples, {
    tool_context: [{ name: 'mills', database: { connection_string: connection } }],
  });
}

/** `notes`: those of demo/mills.txt, a document each: a longer passage is too much for so small a model. */
export function askNotes(notes: readonly string[]): DemoQuestion {
  const example = (asked: string, query: string, words: string, answer: string): Example => {
    const at = notes.findIndex((note) => note.includes(words));
    const id = `d${at + 1}`;
    const passage = { document: id, title: noteName(at), position: 0, quote: notes[at] ?? '' };
    return {
      asked,
      input: { query, limit: 1 },
      result: { passages: [passage] },
      answer: `${answer} [[${id}: "${words}"]]`,
    };
  };
  const examples = [
    example(
      'How far does the Alder fall?',
      'Alder fall',
      'falls forty metres',
      'It falls forty metres.',
    ),
    example(
      'Who built Long Mill?',
      'built Long Mill',
      'built by the brothers Hale',
      'The brothers Hale built it.',
    ),
  ];
  return question('Why was Weir Mill closed?', 'document_search', examples, {
    tool_context: notes.map((text, i) => ({ name: noteName(i), document: { text } })),
    system: { citations: { enabled: true } },
  });
}

function noteName(index: number): string {
  return `note ${index + 1}`;
}

function question(
  asked: string,
  tool: string,
  examples: readonly Example[],
  more: JsonObject,
): DemoQuestion {
  const before = examples.flatMap(({ asked: text, input, result, answer }, i): JsonObject[] => {
    const id = `example_${i + 1}`;
    const call = { id, name: tool, input: JSON.stringify(input) };
    const given = { tool_use_id: id, content: [{ text: JSON.stringify(result) }] };
    return [
      { role: 'ROLE_USER', content: [{ text }] },
      { role: 'ROLE_ASSISTANT', content: [{ tool_use: call }] },
      { role: 'ROLE_USER', content: [{ tool_result: given }] },
      { role: 'ROLE_ASSISTANT', content: [{ text: answer }] },
    ];
  });
  return {
    asked,
    request: {
      messages: [...before, { role: 'ROLE_USER', content: [{ text: asked }] }],
      tools: [{ server: { name: tool } }],
      tool_choice: { mode: 'TOOL_CHOICE_MODE_NAMED', name: tool },
      temperature: 0,
      max_tokens: MAX_TOKENS,
      ...more,
    },
  };
}
