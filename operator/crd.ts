// The JournalCluster as TypeScript sees it: the same as the YAML, kept so by a test.
//
// The API server checks what a user writes against the YAML; this file only names what is there.

export const GROUP = 'journal.dev';
export const VERSION = 'v1alpha1';
export const KIND = 'JournalCluster';
export const PLURAL = 'journalclusters';
export const API_VERSION = `${GROUP}/${VERSION}`;

export interface JournalCluster {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly generation: number;
    readonly resourceVersion: string;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: JournalClusterSpec;
  readonly status?: JournalClusterStatus;
}

export interface JournalClusterSpec {
  readonly zones?: readonly string[];
  readonly zoneCount?: number;
  readonly members?: number;
  readonly replicationFactor?: number;
  readonly minReplicas?: number;
  readonly storage: VolumeSpec;
  readonly controllers?: ControllersSpec;
  readonly podTemplate?: PodTemplate;
  readonly image?: string;
  readonly imagePullPolicy?: string;
  readonly imagePullSecrets?: readonly { readonly name: string }[];
  readonly tls?: TlsSpec;
  readonly networkPolicy?: {
    readonly enabled?: boolean;
    readonly clientNamespaces?: readonly string[];
  };
  readonly monitoring?: { readonly podMonitor?: boolean };
  readonly console?: { readonly records?: boolean };
  readonly journals?: readonly JournalSpec[];
  readonly suspend?: boolean;
  readonly hibernate?: boolean;
  readonly deletionPolicy?: string;
  readonly progressDeadlineSeconds?: number;
  readonly backup?: {
    readonly schedule: string;
    readonly claimName: string;
    readonly keep?: number;
    readonly resources?: Resources;
  };
  readonly restore?: {
    readonly claimName: string;
    readonly path: string;
    readonly resources?: Resources;
  };
}

export interface VolumeSpec {
  readonly size: string;
  readonly className?: string;
}

export interface ControllersSpec {
  readonly count?: number;
  readonly storage?: VolumeSpec;
  readonly podTemplate?: PodTemplate;
}

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

interface NodeTerm {
  readonly matchExpressions?: readonly Requirement[];
  readonly matchFields?: readonly Requirement[];
}

interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly Requirement[];
}

interface PodTerm {
  readonly labelSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly namespaces?: readonly string[];
  readonly topologyKey: string;
  readonly matchLabelKeys?: readonly string[];
  readonly mismatchLabelKeys?: readonly string[];
}

interface PodAffinity {
  readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly PodTerm[];
  readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly {
    readonly weight: number;
    readonly podAffinityTerm: PodTerm;
  }[];
}

/** Affinity as in a pod: passed on, not read, but for its required node terms. */
export interface Affinity {
  readonly nodeAffinity?: {
    readonly requiredDuringSchedulingIgnoredDuringExecution?: {
      readonly nodeSelectorTerms: readonly NodeTerm[];
    };
    readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly {
      readonly weight: number;
      readonly preference: NodeTerm;
    }[];
  };
  readonly podAffinity?: PodAffinity;
  readonly podAntiAffinity?: PodAffinity;
}

/** CPU, memory and more of one process, as in a container of a pod. */
export interface Resources {
  readonly requests?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, string>>;
}

export interface PodTemplate {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly resources?: Resources;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly affinity?: Affinity;
  readonly tolerations?: readonly Toleration[];
  readonly priorityClassName?: string;
  readonly terminationGracePeriodSeconds?: number;
  readonly logLevel?: string;
}

export interface Toleration {
  readonly key?: string;
  readonly operator?: string;
  readonly value?: string;
  readonly effect?: string;
  readonly tolerationSeconds?: number;
}

export interface TlsSpec {
  readonly mode?: string;
  readonly issuerSecretName?: string;
  readonly leafDays?: number;
  readonly authorityDays?: number;
}

export interface JournalSpec {
  readonly name: string;
  readonly retainSeconds?: number;
  readonly retainBytes?: number;
}

export interface JournalClusterStatus {
  readonly observedGeneration?: number;
  readonly message?: string;
  readonly mode?: string;
  readonly journals?: number;
  readonly members?: number;
  readonly memberSummary?: string;
  readonly selector?: string;
  readonly clusterId?: string;
  readonly endpoint?: string;
  readonly clientSecretName?: string;
  readonly resolved?: {
    readonly zones?: readonly string[];
    readonly members?: number;
    readonly replicationFactor?: number;
    readonly minReplicas?: number;
    readonly controllers?: number;
    readonly image?: string;
  };
  readonly replicas?: readonly ProcessState[];
  readonly controllers?: readonly ProcessState[];
  readonly conditions?: readonly Condition[];
}

export interface ProcessState {
  readonly id: string;
  readonly zone: string;
  readonly state: string;
  readonly node?: string;
  readonly heads?: number;
  readonly message?: string;
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime: string;
  readonly reason: string;
  readonly message: string;
}

/** The shape of a type as a value: the compiler keeps it complete, a test compares the YAML. */
export type Shape<Type> = [Type] extends [string]
  ? 'string'
  : [Type] extends [number]
    ? 'integer'
    : [Type] extends [boolean]
      ? 'boolean'
      : [Type] extends [readonly (infer Item)[]]
        ? readonly [Shape<Item>]
        : string extends keyof Type
          ? 'map'
          : { readonly [Key in keyof Required<Type>]: Shape<Required<Type>[Key]> };

const volume: Shape<VolumeSpec> = { size: 'string', className: 'string' };

const resources: Shape<Resources> = { requests: 'map', limits: 'map' };

const requirement: Shape<Requirement> = { key: 'string', operator: 'string', values: ['string'] };

const nodeTerm: Shape<NodeTerm> = {
  matchExpressions: [requirement],
  matchFields: [requirement],
};

const labelSelector: Shape<LabelSelector> = {
  matchLabels: 'map',
  matchExpressions: [requirement],
};

const podTerm: Shape<PodTerm> = {
  labelSelector,
  namespaceSelector: labelSelector,
  namespaces: ['string'],
  topologyKey: 'string',
  matchLabelKeys: ['string'],
  mismatchLabelKeys: ['string'],
};

const podAffinity: Shape<PodAffinity> = {
  requiredDuringSchedulingIgnoredDuringExecution: [podTerm],
  preferredDuringSchedulingIgnoredDuringExecution: [
    { weight: 'integer', podAffinityTerm: podTerm },
  ],
};

const affinity: Shape<Affinity> = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [nodeTerm] },
    preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 'integer', preference: nodeTerm }],
  },
  podAffinity,
  podAntiAffinity: podAffinity,
};

const podTemplate: Shape<PodTemplate> = {
  labels: 'map',
  annotations: 'map',
  resources,
  nodeSelector: 'map',
  affinity,
  tolerations: [
    {
      key: 'string',
      operator: 'string',
      value: 'string',
      effect: 'string',
      tolerationSeconds: 'integer',
    },
  ],
  priorityClassName: 'string',
  terminationGracePeriodSeconds: 'integer',
  logLevel: 'string',
};

export const SPEC_SHAPE: Shape<JournalClusterSpec> = {
  zones: ['string'],
  zoneCount: 'integer',
  members: 'integer',
  replicationFactor: 'integer',
  minReplicas: 'integer',
  storage: volume,
  controllers: { count: 'integer', storage: volume, podTemplate },
  podTemplate,
  image: 'string',
  imagePullPolicy: 'string',
  imagePullSecrets: [{ name: 'string' }],
  tls: {
    mode: 'string',
    issuerSecretName: 'string',
    leafDays: 'integer',
    authorityDays: 'integer',
  },
  networkPolicy: { enabled: 'boolean', clientNamespaces: ['string'] },
  monitoring: { podMonitor: 'boolean' },
  console: { records: 'boolean' },
  journals: [{ name: 'string', retainSeconds: 'integer', retainBytes: 'integer' }],
  suspend: 'boolean',
  hibernate: 'boolean',
  deletionPolicy: 'string',
  progressDeadlineSeconds: 'integer',
  backup: { schedule: 'string', claimName: 'string', keep: 'integer', resources },
  restore: { claimName: 'string', path: 'string', resources },
};

const processState: Shape<ProcessState> = {
  id: 'string',
  zone: 'string',
  state: 'string',
  node: 'string',
  heads: 'integer',
  message: 'string',
};

export const STATUS_SHAPE: Shape<JournalClusterStatus> = {
  observedGeneration: 'integer',
  message: 'string',
  mode: 'string',
  journals: 'integer',
  members: 'integer',
  memberSummary: 'string',
  selector: 'string',
  clusterId: 'string',
  endpoint: 'string',
  clientSecretName: 'string',
  resolved: {
    zones: ['string'],
    members: 'integer',
    replicationFactor: 'integer',
    minReplicas: 'integer',
    controllers: 'integer',
    image: 'string',
  },
  replicas: [processState],
  controllers: [processState],
  conditions: [
    {
      type: 'string',
      status: 'string',
      observedGeneration: 'integer',
      lastTransitionTime: 'string',
      reason: 'string',
      message: 'string',
    },
  ],
};
