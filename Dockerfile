# The app on CPU. Build: docker build -t clair . — run: docker run --rm -p 8501:8501 clair
# .ci/container.py runs these steps without Docker and serves from the result; keep them to
# ARG, ENV, WORKDIR, COPY, RUN, USER, EXPOSE, HEALTHCHECK and CMD.
FROM python:3.12-slim

# Where pip finds torch without CUDA.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

ENV HOME=/tmp \
    CLAIR_CACHE_DIR=/cache \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501 \
    STREAMLIT_SERVER_HEADLESS=true

WORKDIR /srv/clair
COPY requirements.txt constraints.txt ./
RUN pip install --requirement requirements.txt --constraint constraints.txt
COPY . .
RUN python -m compileall -q clair pages && install -d -o 1000 -g 1000 "$CLAIR_CACHE_DIR"

USER 1000:1000
EXPOSE 8501
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['STREAMLIT_SERVER_PORT']}/_stcore/health\", timeout=4)"]
CMD ["streamlit", "run", "app.py"]
