// Wrong fields of a new JournalCluster, and what each is answered.

import type { Spec } from '../cases/cluster.ts';

export const storage = { size: '1Gi' } as const;

export interface Wrong {
  readonly what: string;
  readonly spec: Spec;
  readonly name?: string;
  readonly says: RegExp;
}

export const NEW: readonly Wrong[] = [
  { what: 'no storage', spec: {}, says: /spec\.storage: Required/ },
  {
    what: 'a field that does not exist',
    spec: { storage, membres: 3 },
    says: /unknown field "spec\.membres"/,
  },
  {
    what: 'no members',
    spec: { storage, members: 0 },
    says: /spec\.members: Invalid value: 0: .*greater than or equal to 1/,
  },
  {
    what: 'too many members',
    spec: { storage, members: 10 },
    says: /spec\.members: Invalid value: 10: .*less than or equal to 9/,
  },
  {
    what: 'members as a word',
    spec: { storage, members: 'three' },
    says: /spec\.members: Invalid value: "string": .*must be of type integer/,
  },
  {
    what: 'a size that is no quantity',
    spec: { storage: { size: 'large' } },
    says: /spec\.storage\.size: Invalid value: "large"/,
  },
  {
    what: 'a volume that is too small',
    spec: { storage: { size: '1Mi' } },
    says: /spec\.storage\.size: .*size is at least 256Mi/,
  },
  {
    what: 'an even number of controllers',
    spec: { storage, controllers: { count: 2 } },
    says: /spec\.controllers\.count: .*count is odd, allowed are 1, 3 and 5/,
  },
  {
    what: 'zones and a number of zones',
    spec: { storage, zones: ['a'], zoneCount: 3 },
    says: /spec\.zoneCount: .*zones and zoneCount exclude each other/,
  },
  {
    what: 'a zone twice',
    spec: { storage, zones: ['a', 'a'] },
    says: /spec\.zones\[1\]: Duplicate value: "a"/,
  },
  { what: 'no zone', spec: { storage, zones: [] }, says: /spec\.zones: .*at least 1 items/ },
  {
    what: 'a zone that can be no label',
    spec: { storage, zones: ['A!'] },
    says: /spec\.zones\[0\]: Invalid value: "A!"/,
  },
  {
    what: 'more copies than members',
    spec: { storage, members: 2, replicationFactor: 3 },
    says: /spec\.replicationFactor: .*is at most the number of members/,
  },
  {
    what: 'more needed copies than copies',
    spec: { storage, members: 3, replicationFactor: 2, minReplicas: 3 },
    says: /spec\.minReplicas: .*is at most replicationFactor/,
  },
  {
    what: 'more needed copies than zones',
    spec: { storage, zones: ['a'], minReplicas: 2 },
    says: /spec\.minReplicas: .*or the number of members where they are fewer/,
  },
  {
    what: 'more needed copies than a number of zones',
    spec: { storage, zoneCount: 2, minReplicas: 3 },
    says: /spec\.minReplicas: .*or the number of members where they are fewer/,
  },
  {
    what: 'more needed copies than copies when nothing is said of them',
    spec: { storage, members: 5, minReplicas: 4 },
    says: /spec\.minReplicas: .*is at most replicationFactor, which is 3/,
  },
  {
    what: 'a pull policy that does not exist',
    spec: { storage, imagePullPolicy: 'Sometimes' },
    says: /spec\.imagePullPolicy: .*supported values: "Always", "IfNotPresent", "Never"/,
  },
  {
    what: 'a deletion policy that does not exist',
    spec: { storage, deletionPolicy: 'Recycle' },
    says: /spec\.deletionPolicy: .*supported values: "Retain", "Delete"/,
  },
  {
    what: "a label of the operator's own",
    spec: { storage, podTemplate: { labels: { 'journal.dev/cluster': 'x' } } },
    says: /spec\.podTemplate\.labels: .*are the operator's own/,
  },
  {
    what: 'a name that is too long',
    name: 'a'.repeat(37),
    spec: { storage },
    says: /metadata\.name may have at most 36 characters/,
  },
  {
    what: 'a name that can be no Service',
    name: '1st.orders',
    spec: { storage },
    says: /metadata\.name begins with a letter/,
  },
  {
    what: 'a journal twice',
    spec: { storage, journals: [{ name: 'a' }, { name: 'a' }] },
    says: /spec\.journals\[1\]: Duplicate value/,
  },
  {
    what: 'a journal with a wrong name',
    spec: { storage, journals: [{ name: 'Orders' }] },
    says: /spec\.journals\[0\]\.name: Invalid value: "Orders"/,
  },
  {
    what: 'an issuer without TLS',
    spec: { storage, tls: { mode: 'Disabled', issuerSecretName: 'x' } },
    says: /spec\.tls\.issuerSecretName: .*is of no use while mode is Disabled/,
  },
];

export const pods = (podTemplate: Spec): Spec => ({ storage, podTemplate });
export const backup = (more: Spec): Spec => ({
  storage,
  backup: { schedule: '0 3 * * *', claimName: 'x', ...more },
});

export const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';

/** One field each, whose value its schema alone can judge. */
export const FIELDS: readonly (readonly [field: string, spec: Spec, says: RegExp])[] = [
  ['zoneCount', { storage, zoneCount: 0 }, /spec\.zoneCount: .*greater than or equal to 1/],
  ['minReplicas', { storage, minReplicas: 0 }, /spec\.minReplicas: .*greater than or equal to 1/],
  ['a label', pods({ labels: { 'a b': 'x' } }), /spec\.podTemplate\.labels: .*at most 63 letters/],
  ...['controller-uid', 'job-name', 'batch.kubernetes.io/job-name'].map(
    (name) =>
      [
        `${name} as a label`,
        { storage, controllers: { podTemplate: { labels: { [name]: 'x' } } } },
        /spec\.controllers\.podTemplate\.labels: .*batch\.kubernetes\.io\/ are those of Jobs/,
      ] as const,
  ),
  ['the value of a label', pods({ labels: { a: 'x y' } }), /podTemplate\.labels\.a: .*"x y"/],
  ['an annotation', pods({ annotations: { 'a b': 'x' } }), /podTemplate\.annotations: .*each name/],
  [
    'nodeSelector',
    pods({ nodeSelector: { 'a b': 'x' } }),
    /podTemplate\.nodeSelector: .*each name/,
  ],
  ['affinity', pods({ affinity: { a: 1 } }), /unknown field "spec\.podTemplate\.affinity\.a"/],
  [
    'node terms of another type',
    pods({ affinity: { nodeAffinity: { [REQUIRED]: 1 } } }),
    /affinity\.nodeAffinity\.requiredDuringSchedulingIgnoredDuringExecution: .*must be of type object/,
  ],
  [
    'a node term without values',
    pods({
      affinity: {
        nodeAffinity: {
          [REQUIRED]: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'In' }] }],
          },
        },
      },
    }),
    /matchExpressions\[0\]\.values: .*In and NotIn have values, Gt and Lt have one/,
  ],
  [
    'pods near what has no name',
    pods({ affinity: { podAntiAffinity: { [REQUIRED]: [{ topologyKey: 'a b' }] } } }),
    /podAntiAffinity\.required[A-Za-z]+\[0\]\.topologyKey: .*"a b"/,
  ],
  [
    'pods near those of the same label, of no selector',
    pods({
      affinity: { podAffinity: { [REQUIRED]: [{ topologyKey: 'a', matchLabelKeys: ['b'] }] } },
    }),
    /podAffinity\.required[A-Za-z]+\[0\]\.labelSelector: .*matchLabelKeys and mismatchLabelKeys need it/,
  ],
  [
    'pods near those of the same label and of another',
    pods({
      affinity: {
        podAffinity: {
          [REQUIRED]: [
            {
              topologyKey: 'a',
              labelSelector: {},
              matchLabelKeys: ['b'],
              mismatchLabelKeys: ['c', 'b'],
            },
          ],
        },
      },
    }),
    /podAffinity\.required[A-Za-z]+\[0\]\.mismatchLabelKeys: .*none of these is in matchLabelKeys/,
  ],
  [
    'a prefix of 254 characters',
    pods({ tolerations: [{ key: `${'a'.repeat(254)}/b`, operator: 'Exists' }] }),
    /tolerations\[0\]\.key: .*the prefix before "\/" has at most 253 characters/,
  ],
  [
    'a label with a prefix of 254 characters',
    pods({ labels: { [`${'a'.repeat(254)}/b`]: 'c' } }),
    /podTemplate\.labels: .*its prefix of at most 253/,
  ],
  [
    'a weight above all others',
    pods({
      affinity: {
        podAffinity: { [PREFERRED]: [{ weight: 101, podAffinityTerm: { topologyKey: 'a' } }] },
      },
    }),
    /podAffinity\.preferred[A-Za-z]+\[0\]\.weight: .*less than or equal to 100/,
  ],
  ['priorityClassName', pods({ priorityClassName: 'A!' }), /\.priorityClassName: .*"A!"/],
  ['logLevel', pods({ logLevel: 'loud' }), /\.logLevel: .*"debug", "info", "warn", "error"/],
  [
    'terminationGracePeriodSeconds',
    pods({ terminationGracePeriodSeconds: 1 }),
    /\.terminationGracePeriodSeconds: .*greater than or equal to 5/,
  ],
  [
    'a request above its limit',
    pods({ resources: { requests: { cpu: 2 }, limits: { cpu: '1500m' } } }),
    /resources: .*each request is at most its limit/,
  ],
  [
    'the effect of a toleration',
    pods({ tolerations: [{ key: 'a', effect: 'Maybe' }] }),
    /tolerations\[0\]\.effect: .*"NoSchedule", "PreferNoSchedule", "NoExecute"/,
  ],
  ['leafDays', { storage, tls: { leafDays: 0 } }, /spec\.tls\.leafDays: .*equal to 1/],
  [
    'leafDays above authorityDays',
    { storage, tls: { authorityDays: 30 } },
    /spec\.tls\.leafDays: .*leafDays \(90 when left out\) is less than authorityDays/,
  ],
  [
    'clientNamespaces',
    { storage, networkPolicy: { clientNamespaces: ['A_b'] } },
    /spec\.networkPolicy\.clientNamespaces\[0\]: Invalid value: "A_b"/,
  ],
  ['retainSeconds', { storage, journals: [{ name: 'a', retainSeconds: -1 }] }, /equal to 0/],
  ['a word for a time', backup({ schedule: '@nightly' }), /backup\.schedule: .*such as @daily/],
  [
    'a request of a backup',
    backup({ resources: { requests: { cpu: 'lots' } } }),
    /backup\.resources\.requests\.cpu: Invalid value: "lots"/,
  ],
  ['claimName', backup({ claimName: 'A b' }), /spec\.backup\.claimName: Invalid value: "A b"/],
  ['keep', backup({ keep: 0 }), /spec\.backup\.keep: .*equal to 1/],
  [
    'a path off the volume',
    { storage, restore: { claimName: 'x', path: 'a/../../b' } },
    /spec\.restore\.path: .*stays on the volume/,
  ],
  [
    'progressDeadlineSeconds',
    { storage, progressDeadlineSeconds: 1 },
    /spec\.progressDeadlineSeconds: .*equal to 10/,
  ],
];
