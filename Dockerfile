# cloakbench with the baseline submissions; the commands are those of the README.
#   docker build -t cloakbench .
#   docker run --rm -v "$PWD/site:/cloakbench/site" cloakbench
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap git make && rm -rf /var/lib/apt/lists/*
WORKDIR /cloakbench
COPY . .
RUN make library
ENV PATH="/cloakbench/.venv/bin:$PATH"
CMD ["make", "demo"]
