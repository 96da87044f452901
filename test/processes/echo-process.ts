// A process for tests of the pool: says again what it is told, after a while or never, and ends if it is to.
process.on('message', (job: { readonly say: unknown; readonly act?: 'exit' | 'die' | 'hang' }) => {
  if (job.act === 'exit') process.exit(3);
  if (job.act === 'die') process.kill(process.pid, 'SIGKILL');
  if (job.act === 'hang') return;
  process.send?.({ pid: process.pid, said: job.say });
});
