// OpenTelemetry's variables: when spans are sent, where to, and what is said of a wrong one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTracing } from '../../src/ops/tracing-settings.ts';

const COLLECTOR = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };

test('spans are sent where there is an address, and nowhere else', () => {
  assert.equal(readTracing({}), undefined);
  assert.equal(readTracing({ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }), undefined);
  assert.equal(readTracing({ ...COLLECTOR, OTEL_SDK_DISABLED: 'TRUE' }), undefined);
  assert.equal(readTracing({ ...COLLECTOR, OTEL_TRACES_EXPORTER: 'none' }), undefined);
  // What other programs are set up with is not looked at.
  assert.equal(readTracing({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }), undefined);
  assert.deepEqual(readTracing(COLLECTOR), {
    url: 'http://collector:4318/v1/traces',
    protocol: 'http/protobuf',
    sampler: 'parentbased_always_on',
    ratio: 1,
    queue: 2_048,
    batch: 512,
    sendEveryMs: 5_000,
  });
  const base = readTracing({ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector/base/' });
  assert.equal(base?.url, 'https://collector/base/v1/traces');
});

test('what is said for traces alone counts before what is said for all signals', () => {
  const settings = readTracing({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'grpc-collector:4317',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/own/path',
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
    OTEL_BSP_MAX_QUEUE_SIZE: '100',
  });
  assert.equal(settings?.url, 'http://collector:4318/own/path');
  assert.equal(settings.protocol, 'http/json');
  assert.equal(settings.batch, 100, 'a batch is no more than the queue');
});

test('every wrong variable is named with what would be right, an address is not shown', () => {
  const wrong = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'user:password@collector',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_TRACES_EXPORTER: 'zipkin',
    OTEL_TRACES_SAMPLER: 'jaeger_remote',
    OTEL_TRACES_SAMPLER_ARG: '1.5',
    OTEL_BSP_MAX_QUEUE_SIZE: '0',
  };
  assert.throws(
    () => readTracing(wrong),
    (error: Error) => {
      assert.equal(error.name, 'ConfigError');
      assert.deepEqual(error.message.split('\n'), [
        'OTEL_EXPORTER_OTLP_ENDPOINT is a value that is not shown; it must be an http or https address, for example http://127.0.0.1:4318',
        'OTEL_EXPORTER_OTLP_PROTOCOL is "grpc"; it must be http/protobuf or http/json: OTLP over gRPC is not spoken here',
        'OTEL_TRACES_EXPORTER is "zipkin"; it must be otlp or none',
        'OTEL_TRACES_SAMPLER is "jaeger_remote"; it must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio',
        'OTEL_TRACES_SAMPLER_ARG is "1.5"; it must be a number from 0 to 1, the share of new traces that are recorded',
        'OTEL_BSP_MAX_QUEUE_SIZE is "0"; it must be a whole number from 1 to 100000',
      ]);
      return true;
    },
  );
});
