// How our programs speak with the test that started them: lines of JSON.
import { createInterface } from "node:readline";

export const task = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export function say(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

export async function hear() {
  const { value, done } = await lines.next();
  if (done) process.exit(0);
  return JSON.parse(value);
}

// What a library calls the refusal, in the provider's own word where it passes that on.
export async function outcome(attempt) {
  try {
    return await attempt();
  } catch (error) {
    return { error: error.error ?? error.cause?.error ?? error.code ?? error.message };
  }
}
