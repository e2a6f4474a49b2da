// How a connection is secured follows from all its flags together: none of them is passed over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tlsOf } from './connection.ts';

const endpoints: readonly string[] = [];

test('flags of TLS that say too little are refused by name', () => {
  const refused = (flags: object, words: RegExp): void =>
    assert.throws(() => tlsOf({ endpoints, ...flags }), words);
  refused({ tlsKey: 'k' }, /--tls-key is given and --tls-cert is not, allowed is both/);
  refused({ tlsCert: 'c', tlsKey: 'k' }, /--tls-cert is given and --tls-ca is not/);
  refused({ tlsServerName: 'n' }, /--tls-server-name is given and --tls-ca is not/);
  refused({ tlsCa: '/nowhere/ca.pem' }, /--tls-ca is "\/nowhere\/ca.pem", allowed is a readable/);
  assert.equal(tlsOf({ endpoints }), undefined);
});
