// Loaded into a program before anything else (--import): says on stderr which packages of OpenTelemetry
// are loaded, a line each.
import { writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

registerHooks({
  load: (url, context, next) => {
    if (url.includes('/@opentelemetry/')) writeSync(process.stderr.fd, `loaded ${url}\n`);
    return next(url, context);
  },
});
