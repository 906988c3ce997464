# Flink with the Python jobs and the jars that `mvn -f stream/jvm/pom.xml -DskipTests package` left.
FROM flink:2.3.0-java17

# PyFlink 2.3 runs on Python up to 3.12; take the newest that the image's distribution has.
RUN apt-get update \
    && (apt-get install -y --no-install-recommends python3.12-venv \
        || apt-get install -y --no-install-recommends python3.11-venv) \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN (python3.12 -m venv /opt/venv || python3.11 -m venv /opt/venv) \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY schemas schemas
COPY stream stream
COPY gateway gateway
COPY simulators simulators
COPY compose compose
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

COPY stream/jvm/target/stack/flink/lib/ /opt/flink/lib/
COPY stream/jvm/target/stack/flink/plugins/ /opt/flink/plugins/
# What the operator on Kubernetes runs.
COPY stream/jobs/main.py /opt/flink/usrlib/tidegate_job.py
# Its classes run the Python operators.
RUN cp /opt/flink/opt/flink-python-*.jar /opt/flink/lib/
ENV PATH=/opt/venv/bin:$PATH
